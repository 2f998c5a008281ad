// Two people with matrix-js-sdk: they log in, make a space with rooms, talk in threads, edit, react, redact, search,
// read, page back, leave and forget. Each looks at what the library made of what the server told, not at the server's answers.
//
//   node js_session.mjs URL

import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.disableAll();
const url = process.argv[2];
const PATIENCE = 20_000;

function must(holds, what) {
    if (!holds) throw new Error(`not so: ${what}`);
}

// Waits until something holds, looking again whenever the client hears of anything.
async function until(client, what, holds) {
    const ends = Date.now() + PATIENCE;
    for (;;) {
        const found = await holds();
        if (found) return found;
        if (Date.now() > ends) throw new Error(`waited in vain: ${what}`);
        await new Promise((resolve) => {
            const names = [sdk.ClientEvent.Sync, sdk.RoomEvent.Timeline, sdk.RoomEvent.Receipt, sdk.RoomEvent.Redaction];
            const done = () => {
                clearTimeout(timer);
                names.forEach((name) => client.off(name, done));
                resolve();
            };
            const timer = setTimeout(done, 200);
            names.forEach((name) => client.on(name, done));
        });
    }
}

async function person(name) {
    const anonymous = sdk.createClient({ baseUrl: url });
    await anonymous.registerRequest({
        username: name,
        password: "a long password",
        auth: { type: "m.login.dummy" },
        inhibit_login: true,
    });
    const login = await anonymous.loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: name },
        password: "a long password",
    });
    const client = sdk.createClient({
        baseUrl: url,
        userId: login.user_id,
        accessToken: login.access_token,
        deviceId: login.device_id,
        timelineSupport: true,
    });
    await client.startClient({ initialSyncLimit: 20, threadSupport: true, lazyLoadMembers: true });
    await until(client, `${name}'s first sync`, () => client.isInitialSyncComplete());
    return client;
}

const text = (body) => ({ msgtype: "m.text", body });
const story = [];
async function step(name, act) {
    await act();
    story.push(name);
    console.log(`step: ${name}`);
}

const alice = await person("jsalice");
const bob = await person("jsbob");
let space, tea, den, said, answer;

await step("a space with two rooms", async () => {
    ({ room_id: space } = await alice.createRoom({
        name: "House", preset: "public_chat", creation_content: { type: "m.space" },
    }));
    ({ room_id: tea } = await alice.createRoom({ name: "Tea", topic: "At five", preset: "public_chat" }));
    ({ room_id: den } = await alice.createRoom({ name: "Den", invite: [bob.getUserId()] }));
    for (const room of [tea, den]) await alice.sendStateEvent(space, "m.space.child", { via: ["hearth.example"] }, room);
    const made = await until(alice, "the space", () => alice.getRoom(space));
    must(made.isSpaceRoom(), "a space is a space");
    const { rooms } = await alice.getRoomHierarchy(space, 50, 3);
    must(rooms.length === 3 && rooms[0].children_state.length === 2, "the space holds two rooms");
});

await step("joining and being invited", async () => {
    const { rooms } = await bob.getRoomHierarchy((await bob.joinRoom(space)).roomId);
    must(rooms.some((room) => room.room_id === tea) && rooms.some((room) => room.room_id === den), "Bob sees both");
    await bob.joinRoom(tea);
    await until(bob, "the invitation", () => bob.getRoom(den)?.getMyMembership() === "invite");
    await bob.joinRoom(den);
    const room = await until(bob, "the rooms", () => {
        const found = bob.getRoom(tea);
        return found?.getMyMembership() === "join" && found.name === "Tea" && found;
    });
    await room.loadMembersIfNeeded();
    must(room.getJoinedMembers().length === 2, "two people in the room");
});

await step("talking, with a local echo", async () => {
    said = (await alice.sendMessage(tea, text("The kettle is on"))).event_id;
    await until(bob, "what was said", () => bob.getRoom(tea).findEventById(said));
    await until(alice, "the remote echo", () => alice.getRoom(tea).findEventById(said)?.status === null);
    const live = alice.getRoom(tea).getLiveTimeline().getEvents();
    must(live.filter((event) => event.getContent().body === "The kettle is on").length === 1, "the echo comes once");
});

await step("a thread", async () => {
    answer = (await bob.sendMessage(tea, said, text("On my way"))).event_id;
    const thread = await until(alice, "the thread", () => {
        const found = alice.getRoom(tea).getThread(said);
        return found?.length === 1 && found;
    });
    await until(alice, "its last event", () => thread.replyToEvent?.getId() === answer);
    const room = bob.getRoom(tea);
    await room.createThreadsTimelineSets();
    await room.fetchRoomThreads();
    must(room.getThreads().some((one) => one.id === said), "the list of threads has it");
});

await step("an edit", async () => {
    await alice.sendMessage(tea, {
        ...text("* The kettle boils"),
        "m.new_content": text("The kettle boils"),
        "m.relates_to": { rel_type: "m.replace", event_id: said },
    });
    await until(bob, "the new words", () => bob.getRoom(tea).findEventById(said).getContent().body === "The kettle boils");
    const { originalEvent, events } = await bob.relations(tea, said, "m.replace", "m.room.message");
    must(events.length === 1 && originalEvent.getId() === said, "the edit is a relation");
});

await step("a reaction, taken back", async () => {
    const { event_id: heart } = await bob.sendEvent(tea, "m.reaction", {
        "m.relates_to": { rel_type: "m.annotation", event_id: said, key: "❤" },
    });
    const reactions = () =>
        alice.getRoom(tea).relations.getChildEventsForEvent(said, "m.annotation", "m.reaction")?.getSortedAnnotationsByKey();
    await until(alice, "the reaction", () => reactions()?.some(([key, events]) => key === "❤" && events.size === 1));
    await bob.redactEvent(tea, heart, undefined, { reason: "a slip" });
    await until(alice, "its end", () => !reactions()?.some(([, events]) => events.size));
});

await step("a redaction", async () => {
    const { event_id: wrong } = await alice.sendMessage(tea, text("something silly"));
    await until(bob, "the words", () => bob.getRoom(tea).findEventById(wrong));
    await alice.redactEvent(tea, wrong, undefined, { reason: "silly" });
    await until(bob, "their end", () => bob.getRoom(tea).findEventById(wrong).isRedacted());
    const fetched = await bob.fetchRoomEvent(tea, wrong);
    must(fetched.content.body === undefined && fetched.unsigned.redacted_because, "gone on the server too");
});

await step("search", async () => {
    const { results, highlights } = await bob.searchRoomEvents({ term: "boils" });
    must(results.length >= 1 && highlights.includes("boils"), "the edited words are found");
    const found = results[0].context.getEvent();
    must(found.getRoomId() === tea, "in their room");
    const context = await bob.getEventTimeline(bob.getRoom(tea).getUnfilteredTimelineSet(), said);
    must(context?.getEvents().some((event) => event.getId() === said), "and it can be gone to");
});

await step("receipts and unread counts", async () => {
    const { event_id: last } = await alice.sendMessage(den, text(`Look, ${bob.getUserId()}`));
    const room = await until(bob, "an unread message", () => {
        const found = bob.getRoom(den);
        return found.getUnreadNotificationCount("total") > 0 && found.findEventById(last) && found;
    });
    await bob.sendReadReceipt(room.findEventById(last));
    await until(bob, "nothing unread", () => room.getUnreadNotificationCount("total") === 0);
    await until(alice, "the receipt", () => alice.getRoom(den).hasUserReadEvent(bob.getUserId(), last));
    await bob.setRoomReadMarkers(den, last, room.findEventById(last));
    await until(bob, "the marker", () => room.getAccountData("m.fully_read")?.getContent().event_id === last);
    const reply = alice.getRoom(tea).getThread(said).findEventById(answer);
    await alice.sendReadReceipt(reply);
    await until(bob, "a receipt in a thread", () =>
        bob.getRoom(tea).getThread(said)?.hasUserReadEvent(alice.getUserId(), answer));
});

await step("paging back", async () => {
    for (let number = 0; number < 30; number++) await alice.sendMessage(den, text(`number ${number}`));
    await until(bob, "the last", () => bob.getRoom(den).timeline.at(-1)?.getContent().body === "number 29");
    const room = bob.getRoom(den);
    for (let pages = 0; pages < 10; pages++) {
        if (!(await bob.paginateEventTimeline(room.getLiveTimeline(), { backwards: true, limit: 10 }))) break;
    }
    const events = room.getLiveTimeline().getEvents();
    must(events[0].getType() === "m.room.create", "the first event is reached");
    const numbers = events.map((event) => event.getContent().body).filter((body) => body?.startsWith("number "));
    must(numbers.join() === [...Array(30).keys()].map((number) => `number ${number}`).join(), "each once and in order");
});

await step("leaving and forgetting", async () => {
    await bob.leave(den);
    await until(alice, "Bob's leaving", () => alice.getRoom(den).getMember(bob.getUserId())?.membership === "leave");
    await until(bob, "his own", () => bob.getRoom(den).getMyMembership() === "leave");
    await bob.forget(den);
    must(bob.getRoom(den) === null, "forgotten");
    const refused = await bob.roomState(den).catch((error) => error);
    must(refused.errcode === "M_FORBIDDEN", "no more to be seen");
});

await step("logging out", async () => {
    alice.stopClient();
    bob.stopClient();
    await alice.logout(true);
    const refused = await alice.whoami().catch((error) => error);
    must(refused.errcode === "M_UNKNOWN_TOKEN", "the token is no more");
});

console.log(`whole: ${story.length}`);
process.exit(0);
