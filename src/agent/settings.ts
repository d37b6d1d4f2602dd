// What the agent is told: its options, and for what they leave open /run/farm/boot.env, which the boot of this node wrote.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { type Ipv4, ipv4, parseIpv4 } from '../base/addresses.ts';
import { FarmError, systemCode } from '../base/errors.ts';
import { isClusterName } from '../cluster/gossip.ts';
import { helloAddressesMax } from '../cluster/hello.ts';
import { reportInterval } from '../cluster/report.ts';

/** Where openMosix's information daemon listened. */
const defaultClusterPort = 5428;
const defaultServerPort = 80;
const defaultCluster = 'farm';
const defaultKeyPath = '/etc/farm/key';
const defaultBootEnv = '/run/farm/boot.env';
export const defaultSocketPath = '/run/farm/agent.sock';
/** openMosix's pace: a round a second. */
const defaultInterval = 1000;
const defaultStateDirectory = '/var/lib/farm/agent';
const defaultConfigPath = '/etc/openmosix/openmosix.config';
/** Next to the cluster's own port. */
const defaultHelloPort = 5429;
const defaultHpcMount = '/hpc';
/** A boot.env has six short lines, an openmosix.config not many more. */
const bootEnvBytesMax = 64 * 1024;

export interface Settings {
  /** undefined: the first of the usual places. */
  readonly mapPath: string | undefined;
  readonly keyPath: string;
  /** Address or name of the farm's HTTP server. */
  readonly server: string;
  readonly serverPort: number;
  /** As asked for by an option, so it must exist. */
  readonly interface: string | undefined;
  /** As asked for by an option, so it must be in the map. */
  readonly address: Ipv4 | undefined;
  /** As the boot had them; udev may have renamed the interface since. */
  readonly booted: { readonly interface: string | undefined; readonly address: Ipv4 | undefined };
  readonly cluster: string;
  readonly clusterPort: number;
  /** Ms between rounds of announcements. */
  readonly interval: number;
  /** Ms between reports. */
  readonly reportInterval: number;
  readonly socketPath: string;
  /** What survives a restart. */
  readonly stateDirectory: string;
  /** What openmosix.config(5) says, by openMosix's own names. */
  readonly config: ReadonlyMap<string, string>;
  /** Whether to find the others by calling out: `fallback`, when there is no valid map. */
  readonly discovery: 'always' | 'fallback' | 'never';
  /** As omdiscd has them. No interface: the one that the node booted from, else that of the default route. */
  readonly discover: { readonly interfaces: readonly string[]; readonly ttl: number | undefined; readonly seeds: readonly Ipv4[]; readonly port: number };
  /** Where the API as files is mounted; undefined: nowhere, and it is not served. */
  readonly hpc: { readonly mountPoint: string; readonly port: number | undefined } | undefined;
  /** Host name. */
  readonly name: string;
}

export const usage = `Usage: farm-agent [options]                           run as the agent of this node
       farm-agent status [--json] [--socket FILE]     show what the running agent knows of the cluster

  --map FILE               openmosix.map (the first of /etc/openmosix.map, /etc/mosix.map, /etc/hpc.map)
  --key-file FILE          the farm key (${defaultKeyPath})
  --server ADDRESS[:PORT]  the farm's server (FARM_SERVER of boot.env)
  --port PORT              its HTTP port (${defaultServerPort})
  --interface NAME         the interface of the cluster network (FARM_INTERFACE)
  --address ADDRESS        this node's address in the map (FARM_ADDRESS)
  --cluster NAME           the cluster's name (FARM_CLUSTER, ${defaultCluster})
  --cluster-port PORT      UDP port of the announcements, the same on all nodes (${defaultClusterPort})
  --interval MS            between rounds of announcements, the same on all nodes (${defaultInterval})
  --report-interval MS     between reports to the server (${reportInterval})
  --socket FILE            where status finds the agent (${defaultSocketPath})
  --boot-env FILE          what the boot of this node left (${defaultBootEnv})
  --state-dir DIRECTORY    what the agent keeps across restarts (${defaultStateDirectory})
  --config FILE            openmosix.config (${defaultConfigPath})
  --discover               find the other nodes without a map, even if there is one (AUTODISC=1); without a valid map this is done anyway
  --interfaces IF[,IF...]  where to call out: 1 to ${helloAddressesMax} interfaces (AUTODISCIF, else the one it booted from, else that of the default route)
  --multicast-ttl N        multicast is routed N hops far; only the first interface calls, the addresses of the others are aliases
  --seed ADDRESS[,...]     nodes to call directly, where multicast does not get through
  --hello-port PORT        UDP port of the calls (${defaultHelloPort})
  --hpc DIRECTORY          where the API as files is mounted (${defaultHpcMount}); none: not served
  --hpc-port PORT          TCP port on 127.0.0.1 of the file system behind it
`;

const options = {
  map: { type: 'string' },
  'key-file': { type: 'string', default: defaultKeyPath },
  server: { type: 'string' },
  port: { type: 'string' },
  interface: { type: 'string' },
  address: { type: 'string' },
  cluster: { type: 'string' },
  'cluster-port': { type: 'string', default: String(defaultClusterPort) },
  interval: { type: 'string', default: String(defaultInterval) },
  'report-interval': { type: 'string', default: String(reportInterval) },
  socket: { type: 'string', default: defaultSocketPath },
  'boot-env': { type: 'string', default: defaultBootEnv },
  'state-dir': { type: 'string', default: defaultStateDirectory },
  config: { type: 'string', default: defaultConfigPath },
  discover: { type: 'boolean', default: false },
  interfaces: { type: 'string' },
  'multicast-ttl': { type: 'string' },
  seed: { type: 'string' },
  'hello-port': { type: 'string', default: String(defaultHelloPort) },
  hpc: { type: 'string', default: defaultHpcMount },
  'hpc-port': { type: 'string' },
} as const;

/** Reads the daemon's arguments. Throws `FarmError` `agent.settings`, or parseArgs' own error for an option that there is not. */
export function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
  const boot = readEnvironment(values['boot-env']);
  const config = readEnvironment(values.config);
  const discover = values.discover || config.get('AUTODISC') === '1';
  const server = values.server ?? boot.get('FARM_SERVER');
  if (server === undefined || server === '') {
    throw new FarmError('agent.settings', `there is no FARM_SERVER in ${values['boot-env']}`, 'name the server with --server ADDRESS[:PORT]');
  }
  const [, serverHost, serverPort] = /^([\w.-]{1,253})(?::(\d+))?$/.exec(server) ?? [];
  if (serverHost === undefined) {
    throw new FarmError('agent.settings', `"${server}" is not a server's address`, 'write it as ADDRESS or ADDRESS:PORT, e.g. 10.11.0.1:80');
  }
  const cluster = values.cluster ?? boot.get('FARM_CLUSTER') ?? defaultCluster;
  if (!isClusterName(cluster)) {
    throw new FarmError('agent.settings', `"${cluster}" cannot be a cluster's name`, 'use 1 to 32 letters, digits, dots and hyphens');
  }
  return {
    mapPath: values.map,
    keyPath: values['key-file'],
    server: serverHost,
    serverPort: whole('--port', values.port ?? serverPort ?? String(defaultServerPort), 65535),
    interface: values.interface,
    address: values.address === undefined ? undefined : ipv4(values.address),
    booted: { interface: boot.get('FARM_INTERFACE'), address: parseIpv4(boot.get('FARM_ADDRESS') ?? '') },
    cluster,
    clusterPort: whole('--cluster-port', values['cluster-port'], 65535),
    interval: whole('--interval', values.interval, 3_600_000),
    reportInterval: whole('--report-interval', values['report-interval'], 3_600_000),
    socketPath: values.socket,
    stateDirectory: values['state-dir'],
    config,
    // A map that was asked for by name must be there and be right.
    discovery: discover ? 'always' : values.map === undefined ? 'fallback' : 'never',
    discover: {
      interfaces: interfaceList(values.interfaces ?? config.get('AUTODISCIF') ?? ''),
      ttl: values['multicast-ttl'] === undefined ? undefined : whole('--multicast-ttl', values['multicast-ttl'], 255),
      seeds: (values.seed ?? '').split(',').flatMap((word) => (word === '' ? [] : [ipv4(word)])),
      port: whole('--hello-port', values['hello-port'], 65535),
    },
    hpc:
      values.hpc === 'none'
        ? undefined
        : { mountPoint: values.hpc, port: values['hpc-port'] === undefined ? undefined : whole('--hpc-port', values['hpc-port'], 65535) },
    name: hostname(),
  };
}

function whole(name: string, text: string, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= most) return value;
  throw new FarmError('agent.settings', `${name} is "${text}"`, `give a whole number from 1 to ${most}`);
}

function interfaceList(text: string): readonly string[] {
  const names = text.split(',').flatMap((word) => (word.trim() === '' ? [] : [word.trim()]));
  if (names.length <= helloAddressesMax) return names;
  throw new FarmError('agent.settings', `${names.length} interfaces are too many`, `name at most ${helloAddressesMax}`);
}

function readEnvironment(path: string): ReadonlyMap<string, string> {
  try {
    return parseEnvironment(readFileSync(path, 'utf8').slice(0, bootEnvBytesMax));
  } catch (error) {
    // A node that was not booted by a farm has no boot.env, most nodes no openmosix.config; what is then lacking is asked for by name.
    if (systemCode(error) === 'ENOENT') return new Map();
    throw new FarmError('agent.settings', `${path} cannot be read: ${systemCode(error)}`, 'check its permissions', error);
  }
}

/** Reads KEY=value lines as a shell and systemd's EnvironmentFile do, without expansions; passes over every other line. */
export function parseEnvironment(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, key, value] = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line.trimEnd()) ?? [];
    if (key === undefined || value === undefined) continue;
    const quoted = /^"((?:[^"\\]|\\.)*)"|^'([^']*)'/.exec(value);
    const bare = quoted === null ? value.replace(/(^|\s)#.*$/, '').trimEnd() : undefined;
    found.set(key, bare ?? quoted?.[1]?.replace(/\\(.)/g, '$1') ?? quoted?.[2] ?? '');
  }
  return found;
}
