// Two people with two devices each in an encrypted room (matrix-js-sdk with its Rust crypto): talking, verifying,
// a backup that a new device restores, a device that is removed.
//
//   node js_encryption.mjs URL [MILLISECONDS] [ben=OTHER_URL]

import { comeIn, crypto, device, encryptedRoom, end, must, proof, readable, reads, register, setUp, step, until, verify }
    from "./js_people.mjs";

const text = (body) => ({ msgtype: "m.text", body });
await register("anna");
await register("ben");
const [anna, ben] = [await device("anna"), await device("ben")];
let phone, tablet, room, fresh;

await step("cross-signing, secret storage and a backup", async () => {
    await setUp(anna);
    await setUp(ben);
});

await step("a second device each", async () => {
    [phone, tablet] = [await device("anna"), await device("ben")];
});

await step("talking both ways, readable on every device", async () => {
    room = await encryptedRoom(anna);
    await comeIn(ben, room, anna);
    for (const client of [anna, phone, tablet]) {
        await until("everybody is in the room", () => client.getRoom(room)?.getJoinedMemberCount() === 2);
    }
    await anna.sendMessage(room, text("from anna"));
    await ben.sendMessage(room, text("from ben"));
    await phone.sendMessage(room, text("from anna's phone"));
    await tablet.sendMessage(room, text("from ben's tablet"));
    for (const client of [anna, ben, phone, tablet]) {
        for (const said of ["from anna", "from ben", "from anna's phone", "from ben's tablet"]) {
            await reads(client, room, said);
        }
        must(readable(client, room).sealed === 0, "nothing is left sealed");
    }
});

await step("a device that was added later is verified by the first", async () => {
    const status = () => crypto(ben).getDeviceVerificationStatus(anna.getUserId(), phone.getDeviceId());
    must(!(await status())?.signedByOwner, "the phone is not signed yet");
    await verify(phone, anna, () => crypto(phone).requestOwnUserVerification());
    await until("others see that the phone is signed", async () => (await status())?.signedByOwner);
    await until("the phone has the keys", () => crypto(phone).isCrossSigningReady());
});

await step("the second person is verified by emojis, in the room", async () => {
    const status = () => crypto(anna).getUserVerificationStatus(ben.getUserId());
    must(!(await status()).isCrossSigningVerified(), "not verified yet");
    await verify(anna, ben, () => crypto(anna).requestVerificationDM(ben.getUserId(), room));
    await until("verified", async () => (await status()).isCrossSigningVerified());
    await until("for the other device, too", async () =>
        (await crypto(phone).getUserVerificationStatus(ben.getUserId())).isCrossSigningVerified(),
    );
    await until("and the other way round", async () =>
        (await crypto(ben).getUserVerificationStatus(anna.getUserId())).isCrossSigningVerified(),
    );
});

await step("a new login restores the backup and reads what was said before", async () => {
    const version = await crypto(anna).getActiveSessionBackupVersion();
    const backup = () => anna.http.authedRequest("GET", "/room_keys/version");
    await until("the keys are backed up", async () => (await backup()).count >= 4);
    fresh = await device("anna");
    await until("the room is there", () => fresh.getRoom(room));
    must(!readable(fresh, room).texts.includes("from ben"), "nothing can be read yet");
    must(await crypto(fresh).userHasCrossSigningKeys(), "the person has cross-signing keys");
    await crypto(fresh).bootstrapCrossSigning({});
    await crypto(fresh).loadSessionBackupPrivateKeyFromSecretStorage();
    await crypto(fresh).checkKeyBackupAndEnable();
    must((await crypto(fresh).getActiveSessionBackupVersion()) === version, "it is the same backup");
    const { imported } = await crypto(fresh).restoreKeyBackup();
    must(imported >= 4, "all sessions were restored");
    for (const said of ["from anna", "from ben", "from anna's phone", "from ben's tablet"]) await reads(fresh, room, said);
    must(await crypto(fresh).isCrossSigningReady(), "the new device is signed");
});

await step("a device that was removed gets no keys any more", async () => {
    const gone = `${anna.getUserId()} ${phone.getDeviceId()}`;
    must(ben.sent.includes(gone), "it got keys before");
    phone.stopClient();
    const asked = await anna.deleteDevice(phone.getDeviceId()).catch((error) => error.data);
    await anna.deleteDevice(phone.getDeviceId(), { ...proof("anna"), session: asked.session });
    await until("others see that it is gone", async () => {
        const devices = await crypto(ben).getUserDeviceInfo([anna.getUserId()]);
        return !devices.get(anna.getUserId()).has(phone.getDeviceId());
    });
    ben.sent.length = 0;
    await crypto(ben).forceDiscardSession(room);
    await ben.sendMessage(room, text("without the phone"));
    await reads(anna, room, "without the phone");
    await reads(fresh, room, "without the phone");
    must(ben.sent.length > 0 && !ben.sent.includes(gone), "keys went to the others alone");
});

end(anna, ben, tablet, fresh);
