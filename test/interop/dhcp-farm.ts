// A DHCP service in a process of its own, for a network namespace: `node dhcp-farm.mjs <interface> <server> <hosts as JSON>`.
// Tells each log event as a line of JSON; ends when its stdin does.
import { ipv4, type Mac } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { DhcpHost } from '../../src/dhcp/questions.ts';
import { startDhcpServer } from '../../src/dhcp/server.ts';

const [name = '', server = '', hosts = '{}'] = process.argv.slice(2);
const farm: Record<Mac, DhcpHost> = JSON.parse(hosts);
const say = (event: string, fields: object = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);

const service = await startDhcpServer({
  address: ipv4(server),
  interface: name,
  questions: {
    host: ({ mac }) => farm[mac],
    bootFile: (client) => {
      if (client.http) return { kind: 'url', url: `http://${server}/boot/${client.firmware}.efi` };
      if (client.loader === 'ipxe') return { kind: 'url', url: `http://${server}/boot.ipxe` };
      if (client.loader === 'none' && !client.bootp) return undefined;
      return { kind: 'tftp', server: ipv4(server), file: client.firmware === 'bios' ? 'undionly.kpxe' : 'ipxe.efi' };
    },
  },
  log: (_level, event, fields) => say(event, fields),
  clock: systemClock,
});
say('ready', { sockets: service.sockets });
process.stdin.resume().once('end', () => void service.close());
