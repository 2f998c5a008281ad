//! Two people with matrix-rust-sdk, as Element X uses it: sliding sync by the sync service and its list of rooms,
//! timelines, encryption with recovery and verification, spaces, notifications.
//!
//!     rust-session URL FOLDER PASSWORD    (for @alice and @bob, who are registered)

#![recursion_limit = "256"]

mod device;
mod verifying;

use std::env;

use anyhow::{Context, Result, ensure};
use matrix_sdk::{
    Client, RoomState,
    config::SyncSettings,
    encryption::{VerificationState, recovery::RecoveryState},
    room::edit::EditedContent,
    ruma::{
        OwnedEventId, OwnedRoomAliasId, OwnedRoomId,
        api::client::{
            receipt::create_receipt::v3::ReceiptType,
            room::{
                Visibility,
                create_room::v3::{CreationContent, Request as NewRoom, RoomPreset},
            },
        },
        events::room::message::RoomMessageEventContentWithoutRelation as Text,
        room::RoomType,
        serde::Raw,
    },
};
use matrix_sdk_ui::{
    notification_client::{NotificationClient, NotificationProcessSetup, NotificationStatus},
    spaces::SpaceService,
};

use device::{Device, House, Open, until, when};
use verifying::verify;

/// Messages between the first and the last one: more than a window shows.
const MANY: usize = 60;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().context("rust-session URL FOLDER PASSWORD");
    let house = House { url: next()?, folder: next()?, password: next()? };

    let phone = house.device("alice", "alice-phone").await?;
    let bob = house.device("bob", "bob-phone").await?;
    let key = phone.client.encryption().recovery().enable().wait_for_backups_to_upload().await?;
    bob.client.encryption().recovery().enable().await?;
    step("logged in, with recovery");

    let id = direct_chat(&phone, &bob).await?;
    let (alices, bobs) = (phone.open(&id).await?, bob.open(&id).await?);
    let first = greetings(&alices, &bobs).await?;
    reactions_and_edits(&phone, &alices, &bobs, first).await?;
    unread(&alices, &bobs).await?;
    second_device(&house, &key, &id, &phone, &alices, &bobs).await?;
    verifications(&house, &phone, &bob, &id).await?;
    notification(&phone, &id, &alices, &bobs).await?;
    spaces_and_directory(&phone, &bob).await?;
    away_and_back(&house, &bob, &alices, &bobs).await?;
    step("whole");
    Ok(())
}

fn step(name: &str) {
    println!("step: {name}");
}

async fn direct_chat(phone: &Device, bob: &Device) -> Result<OwnedRoomId> {
    let room = phone.client.create_dm(&bob.user_id()).await?;
    let id = room.room_id().to_owned();
    let invited = bob.room(&id).await?;
    until("the invitation", || async { when(invited.state() == RoomState::Invited) }).await?;
    invited.join().await?;
    until("both are in the room", || async { when(room.joined_members_count() == 2) }).await?;
    step("a direct chat");
    Ok(id)
}

async fn greetings(alices: &Open, bobs: &Open) -> Result<OwnedEventId> {
    alices.say("hello bob").await?;
    bobs.reads("hello bob").await?;
    bobs.say("hello alice").await?;
    let answer = alices.reads("hello alice").await?;
    let shown = alices.timeline.item_by_event_id(&answer).await.context("the answer")?;
    ensure!(shown.encryption_info().is_some(), "the answer is not encrypted");
    step("encrypted both ways");
    Ok(answer)
}

async fn reactions_and_edits(phone: &Device, alices: &Open, bobs: &Open, answer: OwnedEventId) -> Result<()> {
    let shown = alices.timeline.item_by_event_id(&answer).await.context("the answer")?;
    alices.timeline.toggle_reaction(&shown.identifier(), "👍").await?;
    until("the reaction", || async {
        let shown = bobs.timeline.item_by_event_id(&answer).await?;
        when(shown.content().reactions().is_some_and(|found| found.len() == 1))
    })
    .await?;
    let greeting = alices.reads("hello bob").await?;
    let shown = alices.timeline.item_by_event_id(&greeting).await.context("the greeting")?;
    alices.timeline.edit(&shown.identifier(), EditedContent::RoomMessage(Text::text_plain("hello, bob!"))).await?;
    bobs.reads("hello, bob!").await?;
    bobs.timeline.send_reply(Text::text_plain("an answer"), greeting).await?;
    alices.reads("an answer").await?;
    alices.timeline.send_single_receipt(ReceiptType::Read, answer).await?;
    let alice = phone.user_id();
    until("the receipt", || async { bobs.timeline.latest_user_read_receipt(&alice).await }).await?;
    let (_subscribed, mut typing) = bobs.room.subscribe_to_typing_notifications();
    alices.room.typing_notice(true).await?;
    ensure!(typing.recv().await? == [alice], "somebody else types");
    alices.say("to be taken back").await?;
    let taken = bobs.reads("to be taken back").await?;
    let shown = until("the echo", || async { alices.timeline.item_by_event_id(&taken).await }).await?;
    alices.timeline.redact(&shown.identifier(), None).await?;
    until("the redaction", || async {
        when(bobs.timeline.item_by_event_id(&taken).await?.content().is_redacted())
    })
    .await?;
    step("reaction, edit, reply, receipt, typing, redaction");
    Ok(())
}

async fn unread(alices: &Open, bobs: &Open) -> Result<()> {
    bobs.say("unread").await?;
    alices.reads("unread").await?;
    let room = &alices.room;
    until("an unread message", || async {
        when(room.num_unread_messages() > 0 && room.num_unread_notifications() > 0)
    })
    .await?;
    alices.timeline.mark_as_read(ReceiptType::Read).await?;
    until("nothing unread", || async { when(room.num_unread_messages() == 0) }).await?;
    room.set_unread_flag(true).await?;
    until("the flag", || async { when(room.is_marked_unread()) }).await?;
    step("unread and read");
    Ok(())
}

async fn second_device(
    house: &House, key: &str, id: &OwnedRoomId, phone: &Device, alices: &Open, bobs: &Open,
) -> Result<()> {
    for number in 0..MANY {
        bobs.say(&format!("number {number}")).await?;
    }
    alices.reads(&format!("number {}", MANY - 1)).await?;
    let desk = house.device("alice", "alice-desk").await?;
    let open = desk.open(id).await?;
    desk.client.encryption().recovery().recover(key).await?;
    ensure!(desk.client.encryption().verification_state().get() == VerificationState::Verified, "not verified");
    let mut pages = 0;
    while !open.timeline.paginate_backwards(20).await? {
        pages += 1;
        ensure!(pages < 20, "the room has no beginning");
    }
    open.reads("hello alice").await?;
    open.reads("number 3").await?;
    until("all of the past can be read", || async {
        let (events, unreadable) = open.counted().await;
        when(events > MANY && unreadable == 0)
    })
    .await?;
    open.say("from the desk").await?;
    bobs.reads("from the desk").await?;
    alices.reads("from the desk").await?;
    ensure!(desk.user_id() == phone.user_id(), "somebody else's desk");
    step("a second device reads the past");
    Ok(())
}

async fn verifications(house: &House, phone: &Device, bob: &Device, id: &OwnedRoomId) -> Result<()> {
    verify(phone, bob, &bob.user_id()).await?;
    until("bob is verified", || async {
        let identity = phone.client.encryption().get_user_identity(&bob.user_id()).await.ok()??;
        when(identity.is_verified())
    })
    .await?;
    step("two people verify each other");
    let tablet = house.device("alice", "alice-tablet").await?;
    tablet.room(id).await?;
    verify(&tablet, phone, &phone.user_id()).await?;
    let encryption = tablet.client.encryption();
    until("the third device is verified and has the secrets", || async {
        let verified = encryption.verification_state().get() == VerificationState::Verified;
        when(verified && encryption.recovery().state() == RecoveryState::Enabled)
    })
    .await?;
    tablet.sync.stop().await;
    tablet.client.matrix_auth().logout().await?;
    step("a third device is verified by the first");
    Ok(())
}

async fn notification(phone: &Device, id: &OwnedRoomId, alices: &Open, bobs: &Open) -> Result<()> {
    bobs.say("for the notification").await?;
    let event = alices.reads("for the notification").await?;
    let process = NotificationProcessSetup::SingleProcess { sync_service: phone.sync.clone() };
    let notifications = NotificationClient::new(phone.client.clone(), process).await?;
    let NotificationStatus::Event(found) = notifications.get_notification_with_context(id, &event).await? else {
        anyhow::bail!("no notification");
    };
    ensure!(found.is_direct_message_room && found.is_noisy == Some(true), "not a noisy one of a direct chat");
    step("a notification");
    Ok(())
}

async fn spaces_and_directory(phone: &Device, bob: &Device) -> Result<()> {
    let mut content = CreationContent::new();
    content.room_type = Some(RoomType::Space);
    let mut wanted = NewRoom::new();
    wanted.name = Some("A space".into());
    wanted.creation_content = Some(Raw::new(&content)?);
    let space = phone.client.create_room(wanted).await?;
    let mut wanted = NewRoom::new();
    wanted.name = Some("A child".into());
    wanted.visibility = Visibility::Public;
    wanted.preset = Some(RoomPreset::PublicChat);
    wanted.room_alias_name = Some("child".into());
    let child = phone.client.create_room(wanted).await?;

    let spaces = SpaceService::new(phone.client.clone()).await;
    until("the child is in the space", || async {
        spaces.add_child_to_space(child.room_id().to_owned(), space.room_id().to_owned()).await.ok()
    })
    .await?;
    until("the space is known", || async { when(spaces.top_level_joined_spaces().await.len() == 1) }).await?;
    let inside = spaces.space_room_list(space.room_id().to_owned()).await;
    inside.paginate().await?;
    let names: Vec<_> = inside.rooms().await.iter().map(|room| room.display_name.clone()).collect();
    ensure!(names == ["A child"], "the space shows {names:?}");

    let alias = OwnedRoomAliasId::try_from(format!("#child:{}", phone.user_id().server_name()))?;
    let preview = bob.client.get_room_preview((&*alias).into(), vec![]).await?;
    ensure!(preview.name.as_deref() == Some("A child") && preview.num_joined_members == 1, "another preview");
    bob.client.join_room_by_id_or_alias((&*alias).into(), &[]).await?;
    ensure!(!bob.client.search_users("alice", 10).await?.results.is_empty(), "alice is not found");
    step("a space, the directory, a preview");
    Ok(())
}

async fn away_and_back(house: &House, bob: &Device, alices: &Open, bobs: &Open) -> Result<()> {
    bob.sync.stop().await;
    alices.say("while bob was away").await?;
    bob.sync.start().await;
    bobs.reads("while bob was away").await?;
    bob.client.matrix_auth().refresh_access_token().await?;
    bobs.say("with a new token").await?;
    alices.reads("with a new token").await?;
    let older = Client::builder().homeserver_url(&house.url).build().await?;
    older.matrix_auth().login_username("bob", &house.password).await?;
    let told = older.sync_once(SyncSettings::default()).await?;
    ensure!(told.rooms.joined.len() == 2, "sync v2 tells of {} rooms", told.rooms.joined.len());
    step("away and back, a refreshed token, the older sync");
    Ok(())
}
