// A router advertiser in a process of its own, for a network namespace: `node ndp-farm.mjs <interface> <MAC address of a loading machine>...`.
// Tells each log event as a line of JSON; ends when its stdin does, after a last line with its counters.
import { systemClock } from '../../src/base/clock.ts';
import { startRouterAdvertiser } from '../../src/ndp/server.ts';

const [name = '', ...loading] = process.argv.slice(2);
const say = (event: string, fields: object = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);

const service = await startRouterAdvertiser({
  interface: name,
  isLoading: (mac) => loading.includes(mac),
  log: (_level, event, fields) => say(event, fields),
  clock: systemClock,
});
say('ready', { sockets: service.sockets });
process.stdin.resume().once('end', async () => {
  await service.close();
  await service.close();
  say('closed', Object.fromEntries(service.counters()));
});
