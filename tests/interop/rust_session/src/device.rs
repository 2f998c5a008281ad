//! A device as Element X runs one: a store, encryption with recovery, and the sync service with its list of rooms.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, pin_mut};
use matrix_sdk::{
    Client, Room,
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, events::room::message::RoomMessageEventContent},
};
use matrix_sdk_ui::{
    room_list_service::filters::new_filter_non_left,
    sync_service::SyncService,
    timeline::{RoomExt, Timeline},
};

/// The library sends some of what a verification needs only when its long poll ends, which takes thirty seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the people live, and how they log in.
pub struct House {
    pub url: String,
    pub folder: String,
    pub password: String,
}

pub struct Device {
    pub client: Client,
    pub sync: Arc<SyncService>,
    pub name: &'static str,
}

/// A room as somebody looks at it.
pub struct Open {
    pub room: Room,
    pub timeline: Timeline,
    who: &'static str,
}

/// Looks until something holds.
pub async fn until<T, Looking>(what: &str, mut look: impl FnMut() -> Looking) -> Result<T>
where
    Looking: Future<Output = Option<T>>,
{
    let ends = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < ends {
        if let Some(found) = look().await {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("waited in vain: {what}")
}

/// As a test of something: `when(a == b)`.
pub fn when(holds: bool) -> Option<()> {
    holds.then_some(())
}

impl House {
    /// Logs in with a new device and starts to sync.
    pub async fn device(&self, user: &str, name: &'static str) -> Result<Device> {
        let client = Client::builder()
            .homeserver_url(&self.url)
            .sqlite_store(format!("{}/{name}", self.folder), None)
            .with_encryption_settings(EncryptionSettings {
                auto_enable_cross_signing: true,
                auto_enable_backups: true,
                backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
            })
            .build()
            .await?;
        let login = client.matrix_auth().login_username(user, &self.password);
        login.initial_device_display_name(name).request_refresh_token().await.context("login")?;
        let sync = Arc::new(SyncService::builder(client.clone()).with_offline_mode().build().await?);
        sync.start().await;
        let rooms = sync.room_list_service().all_rooms().await?;
        tokio::spawn(async move {
            let (entries, control) = rooms.entries_with_dynamic_adapters(50);
            control.set_filter(Box::new(new_filter_non_left()));
            pin_mut!(entries);
            while entries.next().await.is_some() {}
        });
        client.encryption().wait_for_e2ee_initialization_tasks().await;
        Ok(Device { client, sync, name })
    }
}

impl Device {
    pub fn user_id(&self) -> OwnedUserId {
        self.client.user_id().expect("it logged in").to_owned()
    }

    /// A room once this device has heard of it.
    pub async fn room(&self, id: &OwnedRoomId) -> Result<Room> {
        until(&format!("{} hears of {id}", self.name), || async { self.client.get_room(id) }).await
    }

    /// Opens a room on the screen.
    pub async fn open(&self, id: &OwnedRoomId) -> Result<Open> {
        let room = self.room(id).await?;
        self.sync.room_list_service().subscribe_to_rooms(&[id]).await;
        Ok(Open { timeline: room.timeline().await?, room, who: self.name })
    }
}

impl Open {
    pub async fn say(&self, body: &str) -> Result<()> {
        self.timeline.send(RoomMessageEventContent::text_plain(body).into()).await?;
        Ok(())
    }

    /// Waits until a message is on the screen, as an event of the server's.
    pub async fn reads(&self, body: &str) -> Result<OwnedEventId> {
        until(&format!("{} reads {body:?}", self.who), || async {
            self.timeline.items().await.iter().find_map(|item| {
                let event = item.as_event().filter(|event| event.content().as_message().is_some_and(|m| m.body() == body))?;
                event.event_id().map(ToOwned::to_owned)
            })
        })
        .await
    }

    /// How many events are on the screen, and how many of those cannot be read.
    pub async fn counted(&self) -> (usize, usize) {
        let items = self.timeline.items().await;
        let events: Vec<_> = items.iter().filter_map(|item| item.as_event()).collect();
        (events.len(), events.iter().filter(|event| event.content().is_unable_to_decrypt()).count())
    }
}
