// A client machine to try things on: each line of stdin is run by its shell. How, and for what: docs/reference/nfs-suites.md.
// npx esbuild test/boot/guest-by-hand.ts --bundle --platform=node --format=esm --packages=external --outfile=dist/test/guest.mjs && cp test/support/guest-init.sh dist/test/
// node dist/test/guest.mjs '{"image":"...","root":"...","space":"...","tap":"...","mac":"...","address":"10.11.0.11/24","scratch":"..."}'
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Guest, type GuestOptions } from '../support/guest.ts';

/** A suite may take as long as this. */
const lineSeconds = 3600;

const options: GuestOptions = JSON.parse(process.argv[2] ?? '');
mkdirSync(options.scratch, { recursive: true });
const guest = await Guest.start(options);
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  console.log(await guest.run(line, lineSeconds).catch((error: unknown) => String(error)));
}
await guest.off();
