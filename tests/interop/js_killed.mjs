// Two people with two devices each say five hundred things in an encrypted room, with new keys every few, while somebody
// kills the server again and again. In the end every device reads everything, and nothing twice.
//
//   node js_killed.mjs URL MILLISECONDS COUNT

import * as sdk from "matrix-js-sdk";
import { comeIn, device, encryptedRoom, end, must, pause, register, step, until } from "./js_people.mjs";

const COUNT = Number(process.argv[4] ?? 500);
await register("anna");
await register("ben");
const clients = [await device("anna"), await device("ben"), await device("anna"), await device("ben")];
const seen = clients.map(() => new Set());
let room;

await step("a room", async () => {
    room = await encryptedRoom(clients[0], { rotation_period_msgs: 10 });
    await comeIn(clients[1], room);
    for (const client of clients) {
        await until("everybody is in the room", () => client.getRoom(room)?.getJoinedMemberCount() === 2);
    }
    clients.forEach((client, number) => client.on(sdk.RoomEvent.Timeline, (event) => seen[number].add(event)));
});

// Says something, as often as it takes: the same event with the same transaction id.
async function say(client, body) {
    const txn = client.makeTxnId();
    let event, last, sending;
    const send = (act) => {
        sending = "under way";
        act().then(() => (sending = "sent"), (error) => ((sending = "failed"), (last = error)));
    };
    const find = () => {
        const events = client.getRoom(room).getLiveTimeline().getEvents();
        return events.find((one) => one.getTxnId() === txn || one.getId() === `~${room}:${txn}`);
    };
    send(() => client.sendEvent(room, null, "m.room.message", { msgtype: "m.text", body }, txn));
    await until(`"${body}" is said`, async () => {
        event ??= find(); // Once: a gap takes it out of the timeline.
        if (sending === "sent") return true;
        if (sending === "failed" && event?.status === sdk.EventStatus.NOT_SENT) {
            send(() => client.resendEvent(event, client.getRoom(room)));
        }
        return sending === "failed" && event && (event.status === null || event.status === sdk.EventStatus.SENT);
    }).catch((error) => {
        throw new Error(`${error.message}: ${sending}, ${event ? event.status : "not in the timeline"}, ${last}`);
    });
}

await step("everything is said", async () => {
    let next = 0;
    await Promise.all(clients.map(async (client) => {
        while (next < COUNT) {
            await say(client, `${next++}`);
            if (next % 10 === 0) console.log(`told: ${next}`);
        }
    }));
    console.log("told: all");
});

// What a device missed in its timeline it can page back to.
async function everything(number) {
    const client = clients[number];
    const events = new Map([...seen[number]].map((event) => [event.getId(), event]));
    let from = null;
    do {
        const page = await client.createMessagesRequest(room, from, 100, sdk.Direction.Backward);
        for (const event of page.chunk.filter(({ type }) => type === "m.room.encrypted")) {
            if (!events.has(event.event_id)) events.set(event.event_id, client.getEventMapper()(event));
        }
        from = page.end;
    } while (from);
    const sealed = [], texts = [];
    for (const [id, event] of events) {
        if (id[0] !== "$" || event.isState() || event.isRedacted()) continue;
        await client.decryptEventIfNeeded(event);
        if (event.isDecryptionFailure() || event.getType() === "m.room.encrypted") sealed.push(id);
        else if (event.getType() === "m.room.message") texts.push(event.getContent().body);
    }
    return { sealed, texts };
}

await step("every device reads everything, and nothing twice", async () => {
    for (const number of clients.keys()) {
        let found;
        await until(`device ${number} reads everything`, async () => {
            found = await everything(number).catch(() => undefined);
            return found && found.sealed.length === 0 && found.texts.length >= COUNT;
        }).catch((error) => {
            throw new Error(`${error.message}: ${found?.texts.length} read, ${found?.sealed.length} sealed`);
        });
        must(new Set(found.texts).size === COUNT, `all is there: ${new Set(found.texts).size}`);
        must(found.texts.length === COUNT, `nothing is there twice: ${found.texts.length}`);
    }
});

end(...clients);
