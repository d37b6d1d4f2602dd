// npm run bench:migration (root): what a move costs, frozen at once and with pre-copy, next to criu dump + tar over TCP + criu restore by hand, and to what the
// same link carries. Two nodes made of network namespaces, or with --lab the first two machines of a lab that is up.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { labNodes } from './lab.mjs';
import { namespaceNodes } from './namespaces.mjs';
import { table } from './table.mjs';

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '4,64,256,512' }, // MiB
    kinds: { type: 'string', default: 'random,hex' },
    dirty: { type: 'string', default: '10' }, // MB/s, or `part`: as much of the link as 10 MB/s are of Gigabit Ethernet
    rate: { type: 'string', default: '1gbit' }, // of the link between the namespaces, as tc(8) writes it
    image: { type: 'string', default: fileURLToPath(new URL('../../.farm/images/debian-13/current/root', import.meta.url)) },
    lab: { type: 'string' }, // directory of a farm with `farm lab up 2 --memory 1536`
    minutes: { type: 'string', default: '12' },
  },
});
const results = fileURLToPath(new URL('../../.farm/bench', import.meta.url));
const until = Date.now() + Number(values.minutes) * 60_000;
const nodes = values.lab === undefined ? await namespaceNodes(values.image, values.rate) : await labNodes(values.lab);
const found = [];
try {
  for (const kind of values.kinds.split(',')) {
    for (const size of values.sizes.split(',')) {
      if (Date.now() > until) throw new Error(`${values.minutes} minutes are over; not measured: ${kind} ${size}`);
      const one = await nodes.compare(size, kind, size === '4' ? '0' : values.dirty, until);
      found.push({ ...one, load: loadavg()[0] });
      process.stderr.write(`${JSON.stringify(found.at(-1))}\n`);
    }
  }
} catch (error) {
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 2;
} finally {
  await nodes.close();
}
mkdirSync(results, { recursive: true });
const world = values.lab === undefined ? `namespaces, ${values.rate}` : 'lab';
writeFileSync(join(results, 'migration.json'), `${JSON.stringify({ world, processors: cpus().map(({ model }) => model), found }, undefined, 2)}\n`);
process.stdout.write(table(found));
