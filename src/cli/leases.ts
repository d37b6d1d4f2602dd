// farm leases: every dynamic address that is or was leased, and those that are not given because somebody else uses them.
import { join } from 'node:path';
import { Command } from 'commander';
import type { LeaseView } from '../dhcp/lease-slot.ts';
import { leasesFile, readLeases } from '../dhcp/lease-store.ts';
import { stateDirectory } from '../farm/directory.ts';
import { farmDirectory, table } from './options.ts';

export function leasesCommand(): Command {
  return new Command('leases')
    .description('show the dynamic addresses: who has them, and for how long')
    .option('--json', 'for programs')
    .action((options: { json?: boolean }, command: Command) => {
      const now = Date.now();
      const leases = readLeases(join(stateDirectory(farmDirectory(command)), leasesFile), now);
      if (options.json === true) console.log(JSON.stringify(leases.map(leaseRecord), undefined, 2));
      else process.stdout.write(leasesText(leases, now));
    });
}

/** What programs read; times are milliseconds since 1970, `end` is null for a lease without end. */
function leaseRecord({ address, network, state, mac, key, hostName, since, until }: LeaseView): Readonly<Record<string, unknown>> {
  const start = since === undefined ? undefined : Math.round(since);
  return { address, network, state, mac, clientId: key, hostName, start, end: Number.isFinite(until) ? Math.round(until) : null };
}

/** The table that people read. */
export function leasesText(leases: readonly LeaseView[], now: number): string {
  if (leases.length === 0) return 'No dynamic leases. Machines that are not in farm.yaml get some where a network has `dynamic` and `unknown: lease`.\n';
  const rows = leases.map((lease) => [
    lease.address,
    lease.network,
    lease.state,
    lease.mac ?? lease.key ?? '',
    lease.hostName ?? '',
    lease.since === undefined ? '' : `${span(now - lease.since)} ago`,
    ending(lease, now),
  ]);
  return table([['ADDRESS', 'NETWORK', 'STATE', 'CLIENT', 'HOST NAME', 'START', 'END'], ...rows]);
}

function ending({ state, until }: LeaseView, now: number): string {
  if (until === Number.POSITIVE_INFINITY) return 'never';
  switch (state) {
    case 'leased':
      return `in ${span(until - now)}`;
    case 'expired':
    case 'released':
      return `${state} ${span(now - until)} ago`;
    case 'declined':
    case 'answers':
    case 'elsewhere':
      return `not given for ${span(until - now)}`;
  }
}

function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
