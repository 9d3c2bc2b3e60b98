// Sends a message with Google's client in each way it has, and prints what the client makes of each answer.
// usage: node send.mjs ADDRESS TOKEN < MESSAGE

import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { auth, gmail } from "@googleapis/gmail";

const [, , address, token] = process.argv;
const content = readFileSync(0);
const credentials = new auth.OAuth2();
credentials.setCredentials({ access_token: token });
const { messages } = gmail({ version: "v1", auth: credentials }).users;
// The client's own option; given with the call it moves uploads too.
const there = { rootUrl: `${address}/` };
const raw = content.toString("base64url");
const media = () => ({ mimeType: "message/rfc822", body: Readable.from([content.subarray(0, 9), content.subarray(9)]) });

async function told(request) {
  try {
    const { status, data } = await messages.send({ userId: "me", ...request }, there);
    return { status, data };
  } catch ({ code, message, errors }) {
    return { code, message, errors };
  }
}

const json = await told({ requestBody: { raw } });
const answers = {
  json,
  media: await told({ media: media() }),
  multipart: await told({ requestBody: { threadId: json.data?.threadId }, media: media() }),
  refused: await told({ requestBody: { raw: Buffer.from("Subject: nobody\n\n").toString("base64url") } }),
  "other media": await told({ media: { mimeType: "text/plain", body: "To: bob@example.org\n\n" } }),
};
console.log(JSON.stringify(answers));
