// Uses the official client with its defaults, and prints what came of each call as one JSON line.
import { File as BufferFile } from "node:buffer";
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

globalThis.File ??= BufferFile; // node 18 keeps it elsewhere

const [baseURL, folder] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "not used here" });
const picture = `${folder}/picture.png`;
const mask = `${folder}/mask.png`;
const size = "64x64";

async function told(make) {
  try {
    return { reply: await make() };
  } catch (error) {
    const { status, code, param, type, requestID } = error;
    return { error: error.constructor.name, status, code, param, type, requestID };
  }
}

const short = ({ data, ...rest }) => ({ ...rest, count: data.length });

const calls = {
  generate: async () =>
    short(await client.images.generate({ model: "tiny", prompt: "a fox", size, n: 2 })),
  proof: async () =>
    short(
      await client.images.generate({
        model: "proof", prompt: "a fox", size, output_format: "jpeg", output_compression: 50,
      }),
    ),
  edit_stream: async () =>
    short(
      await client.images.edit({
        model: "tiny", prompt: "an apple", size,
        image: fs.createReadStream(picture), mask: fs.createReadStream(mask),
      }),
    ),
  edit_bytes: async () =>
    short(
      await client.images.edit({
        model: "tiny", prompt: "together", size,
        image: [
          await toFile(fs.readFileSync(picture), "a.png", { type: "image/png" }),
          new File([fs.readFileSync(picture)], "b.png", { type: "image/png" }),
        ],
      }),
    ),
  stream: async () => {
    const stream = await client.images.generate({
      model: "tiny", prompt: "a fox", size, stream: true, partial_images: 2,
    });
    const seen = [];
    for await (const event of stream) seen.push(event.type);
    return seen;
  },
  extra: async () =>
    short(
      await client.images.generate({
        model: "proof", prompt: "a fox", size, maquette: { seed: 7, guard: false },
      }),
    ),
  bad: () => client.images.generate({ model: "proof", prompt: "a fox", style: "vivid" }),
  missing: () => client.images.generate({ model: "nobody", prompt: "a fox" }),
  moderated: () => client.images.generate({ model: "tiny", prompt: "moderate this", size }),
  failing: () => client.images.generate({ model: "tiny", prompt: "fail at this", size }),
  late: async () =>
    short(await client.images.generate({ model: "tiny", prompt: "be late", size }, { timeout: 1500 })),
  stream_error: async () => {
    const stream = await client.images.generate({
      model: "tiny", prompt: "moderate later", size, stream: true, partial_images: 1,
    });
    for await (const _ of stream);
  },
};

for (const [name, make] of Object.entries(calls)) {
  console.log(JSON.stringify({ name, ...(await told(make)) }));
}
