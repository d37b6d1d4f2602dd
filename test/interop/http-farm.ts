// An HTTP service in a process of its own, behind nginx in a network namespace: `node http-farm.mjs <directory> <secret>`.
// Appends each log event to <directory>/farm.log; ends when its stdin does.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import { startHttpServer } from '../../src/boot/http.ts';

const [directory = '', secret = ''] = process.argv.slice(2);

const service = await startHttpServer({
  address: ipv4('127.0.0.1'),
  port: 8080,
  proxySecret: secret,
  upload: (client) => ({ directory: join(directory, 'uploads', client), limit: 10_000_000 }),
  routes: async ({ client, path, body }) => {
    if (path.startsWith('/images/')) return { kind: 'file', directory: join(directory, 'images'), path: path.slice('/images/'.length) };
    return { kind: 'json', value: { client, path, body: body?.toString() } };
  },
  log: (level, event, fields) => appendFileSync(join(directory, 'farm.log'), `${JSON.stringify({ level, event, ...fields })}\n`),
  clock: systemClock,
});
process.stdout.write('ready\n');
process.stdin.resume().once('end', () => void service.close());
