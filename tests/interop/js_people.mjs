// Devices with matrix-js-sdk and its Rust crypto, for the scripts beside this one: each is a login with keys of its own,
// all in memory. A person's secret storage key is known to all of their devices, as if they typed it in.
//
// With an argument ben=URL, Ben is at home there.

import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { CryptoEvent, VerificationPhase, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/index.js";

logger.disableAll();
for (const name of ["debug", "info", "log", "warn", "error"]) {
    const say = console[name];
    console[name] = (...words) => (/^(step|whole|told): /.test(words[0]) ? say(...words) : undefined);
}
export const url = process.argv[2];
const home = (name) => process.argv.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? url;
export const PATIENCE = Number(process.argv[3] ?? 60_000);
const PASSWORD = "a long password";
const secrets = new Map();

export function must(holds, what) {
    if (!holds) throw new Error(`not so: ${what}`);
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Waits until something holds.
export async function until(what, holds, patience = PATIENCE) {
    const ends = Date.now() + patience;
    for (;;) {
        const found = await holds();
        if (found) return found;
        if (Date.now() > ends) throw new Error(`waited in vain: ${what}; unanswered: ${waiting() || "nothing"}`);
        await pause(100);
    }
}

const anonymous = (name) => sdk.createClient({ baseUrl: home(name) });

export const proof = (name) => ({
    type: "m.login.password", identifier: { type: "m.id.user", user: name }, password: PASSWORD,
});

export async function register(name) {
    await anonymous(name).registerRequest({
        username: name, password: PASSWORD, auth: { type: "m.login.dummy" }, inhibit_login: true,
    });
}

// Which requests have no answer yet, but for those that may wait.
const unanswered = new Set();
const waiting = () =>
    [...unanswered]
        .filter(({ what }) => !what.endsWith("/sync"))
        .map(({ what, at }) => `${what} for ${Date.now() - at} ms`)
        .join(", ");

// A new device of a person. `sent` gathers what it sends to devices: user and device of each message.
export async function device(name) {
    const login = await anonymous(name).loginRequest(proof(name));
    const sent = [];
    const client = sdk.createClient({
        baseUrl: home(name),
        userId: login.user_id,
        accessToken: login.access_token,
        deviceId: login.device_id,
        verificationMethods: ["m.sas.v1"],
        // A server that is gone is back in a moment: no growing waits.
        scheduler: new sdk.MatrixScheduler((_, attempts) => (attempts > 50 ? -1 : 200)),
        fetchFn: (resource, options) => {
            if (String(resource).includes("/sendToDevice/m.room.encrypted/")) {
                const { messages } = JSON.parse(options.body);
                for (const [user, own] of Object.entries(messages)) {
                    for (const device of Object.keys(own)) sent.push(`${user} ${device}`);
                }
            }
            const asked = { what: `${options.method} ${new URL(resource).pathname}`, at: Date.now() };
            unanswered.add(asked);
            return fetch(resource, options).finally(() => unanswered.delete(asked));
        },
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => {
                const known = secrets.get(name);
                return known && keys[known.id] ? [known.id, known.key] : null;
            },
            cacheSecretStorageKey: (id, _, key) => secrets.set(name, { id, key }),
        },
    });
    client.sent = sent;
    await client.initRustCrypto({ useIndexedDB: false });
    await client.startClient({ initialSyncLimit: 100, lazyLoadMembers: true });
    await until(`${name}'s first sync`, () => client.isInitialSyncComplete());
    return client;
}

export const crypto = (client) => client.getCrypto();

// Cross-signing keys, secret storage and a backup: what a first device does.
export async function setUp(client) {
    await crypto(client).bootstrapCrossSigning({ authUploadDeviceSigningKeys: (request) => request(null) });
    await crypto(client).bootstrapSecretStorage({
        createSecretStorageKey: () => crypto(client).createRecoveryKeyFromPassphrase(),
        setupNewSecretStorage: true,
        setupNewKeyBackup: true,
    });
    must(await crypto(client).isCrossSigningReady(), "cross-signing is ready");
    await until("the backup is on", () => crypto(client).getActiveSessionBackupVersion());
}

export async function encryptedRoom(client, rotation = {}) {
    const { room_id: room } = await client.createRoom({
        preset: "public_chat",
        initial_state: [
            { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2", ...rotation } },
        ],
    });
    return room;
}

export async function comeIn(client, room, through) {
    await client.joinRoom(room, { viaServers: through ? [through.getDomain()] : [] });
    await until("the room is encrypted", async () => {
        return client.getRoom(room) && (await crypto(client).isEncryptionEnabledInRoom(room));
    });
}

// What a device can read in a room: the texts, and how many events it could not decrypt.
export function readable(client, room) {
    const events = client.getRoom(room)?.getLiveTimeline().getEvents() ?? [];
    const texts = events
        .filter((event) => event.getType() === "m.room.message" && !event.isDecryptionFailure() && event.getId()[0] === "$")
        .map((event) => event.getContent().body);
    const sealed = events.filter((event) => event.getType() === "m.room.encrypted" || event.isDecryptionFailure());
    return { texts, sealed: sealed.length };
}

export async function reads(client, room, text) {
    await until(`${client.getUserId()}'s ${client.getDeviceId()} reads "${text}"`, () =>
        readable(client, room).texts.includes(text),
    );
}

// One device asks, the other accepts; they compare emojis, and both say that these are the same.
export async function verify(asking, accepting, ask) {
    const asked = new Promise((resolve) => accepting.once(CryptoEvent.VerificationRequestReceived, resolve));
    const request = await ask();
    const other = await asked;
    await other.accept();
    await until("both are ready", () => [request, other].every((one) => one.phase === VerificationPhase.Ready));
    const verifier = await request.startVerification("m.sas.v1");
    await until("it has begun", () => other.verifier);
    const shown = [];
    const confirm = (one) =>
        one.on(VerifierEvent.ShowSas, (sas) => {
            shown.push(sas.sas.emoji.map(([emoji]) => emoji).join(" "));
            if (shown.length === 2) {
                must(shown[0] === shown[1], "both show the same emojis");
            }
            sas.confirm();
        });
    confirm(verifier);
    confirm(other.verifier);
    await Promise.all([verifier.verify(), other.verifier.verify()]);
    await until("both are done", () => [request, other].every((one) => one.phase === VerificationPhase.Done));
    must(shown.length === 2, "both have seen emojis");
}

const story = [];
export async function step(name, act) {
    await act();
    story.push(name);
    console.log(`step: ${name}`);
}

export function end(...clients) {
    clients.forEach((client) => client.stopClient());
    console.log(`whole: ${story.length}`);
    process.exit(0);
}
