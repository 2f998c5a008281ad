//! Two devices verify each other by emoji: of two people, in their room, or of one, by messages to devices.

use anyhow::{Context, Result, ensure};
use matrix_sdk::{
    encryption::verification::{SasState, Verification, VerificationRequestState},
    ruma::UserId,
};

use crate::device::{Device, until, when};

/// `asking` asks the user, who is verified by `answering`.
pub async fn verify(asking: &Device, answering: &Device, user: &UserId) -> Result<()> {
    let identity = until("the identity of the other", || async {
        asking.client.encryption().request_user_identity(user).await.ok().flatten()
    })
    .await?;
    let ours = identity.request_verification().await?;
    let asker = asking.user_id();
    let theirs = until("the request", || async {
        answering.client.encryption().get_verification_request(&asker, ours.flow_id()).await
    })
    .await?;
    theirs.accept().await?;
    until("the answer to the request", || async {
        when(matches!(ours.state(), VerificationRequestState::Ready { .. }))
    })
    .await?;
    let our_sas = ours.start_sas().await?.context("no SAS")?;
    let their_sas = until("the start", || async {
        match theirs.state() {
            VerificationRequestState::Transitioned { verification: Verification::SasV1(sas), .. } => Some(sas),
            _ => None,
        }
    })
    .await?;
    their_sas.accept().await?;
    let (ours, theirs) = until("the emoji", || async { our_sas.emoji().zip(their_sas.emoji()) }).await?;
    ensure!(ours.map(|emoji| emoji.symbol) == theirs.map(|emoji| emoji.symbol), "they see different emoji");
    our_sas.confirm().await?;
    their_sas.confirm().await?;
    until("the end of the verification", || async {
        let done = |state| matches!(state, SasState::Done { .. });
        when(done(our_sas.state()) && done(their_sas.state()))
    })
    .await
}
