// An agent of mosrun.test.ts in a network namespace: link, deputies and plain processes. Tells events as lines of JSON and ends with its stdin.
import { type Deputies, startDeputies } from '../../src/agent/jobs/deputies.ts';
import type { JobSpec } from '../../src/agent/jobs/types.ts';
import { startLink } from '../../src/agent/link/link.ts';
import { type Ipv4, ipv4 } from '../../src/base/addresses.ts';
import type { Log } from '../../src/base/log.ts';
import { plainEngine } from '../support/plain-engine.ts';

const [id = '1', directory = '', base = '10.98.0.'] = process.argv.slice(2);
const self = Number(id);
const addresses = new Map<number, Ipv4>([1, 2].map((node) => [node, ipv4(`${base}${node}`)]));
const map = { addresses, ids: new Map([...addresses].map(([node, address]) => [address, node])) };
const tell = (event: string, fields: object = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
const log: Log = (_level, event, fields) => void tell(event, fields);
const link = await startLink({
  self: { id: self, address: ipv4(`${base}${id}`) },
  map: () => map,
  keys: () => [Buffer.from('k'.repeat(64))],
  refuse: (reason, from) => void tell('refused', { reason, from }),
  log,
});
const deputies: Deputies = await startDeputies({
  ...{ self, hostname: `n${id}`, directory, link, engine: plainEngine, log, readSpec: (value) => value as JobSpec, place: async () => 2 },
});
tell('ready');
process.stdin.resume().on('data', (text) => {
  const [order, word] = text.toString().trim().split(' ');
  if (order === 'gone') deputies.nodeGone(Number(word));
});
process.stdin.on(
  'end',
  () =>
    void deputies
      .close()
      .then(() => link.close())
      .then(() => process.exit(0)),
);
