// The peer's side: configurations for dnsmasq and nfs-ganesha as their users write them, and a writable root of its own for each node.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { networkAddress } from '../../dist/base/addresses.js';
import { FarmError } from '../../dist/base/errors.js';
import { run } from '../../dist/base/processes.js';
import { kernelCommandLine } from '../../dist/boot/plan.js';
import { fqdn } from '../../dist/farm/config.js';
import { imagesDirectory } from '../../dist/farm/directory.js';
import { consoleArgs } from './farm-side.mjs';
import { writeRoot } from './peer-root.mjs';

/** nfs-ganesha cannot answer MOUNT on the port of NFS. */
const mountPort = 20_048;
const httpPort = 8080;

/** `how` is how kernel and initramfs get to the machines: `tftp` or `http`. */
export function peerSide(farm, directory, how) {
  // They go onto the kernel command line and into configuration files without quotes.
  if (!/^[\w./-]+$/.test(directory)) throw new FarmError('bench.path', `${directory} has characters that a kernel command line cannot carry`);
  const { network, version } = farm;
  const { address } = network.address;
  const roots = join(directory, 'roots');
  const files = join(directory, 'files');
  const settings = join(directory, 'peer.json');
  const root = (node) => `${address}:${join(roots, node.name)}`;
  return {
    name: `peer-${how}`,
    title: `dnsmasq (${how === 'tftp' ? 'TFTP' : 'TFTP; kernel by busybox httpd'}) + nfs-ganesha (NFSv3)`,
    serve: { command: process.execPath, args: [fileURLToPath(new URL('peer.mjs', import.meta.url)), settings] },
    nfsProcess: /^ganesha\.nfsd$/,
    programs: /^(dnsmasq|ganesha\.nfsd|rpcbind|busybox)$/,
    root,
    async prepare(nodes, signal) {
      rmSync(directory, { recursive: true, force: true });
      for (const made of [roots, files]) mkdirSync(made, { recursive: true, mode: 0o755 });
      for (const name of ['kernel', 'initramfs']) copyFileSync(join(imagesDirectory(farm.directory), version, name), join(files, name));
      for (const node of nodes) {
        writeFileSync(join(files, `${node.name}.ipxe`), script(farm, node, root(node), how));
        const client = { address: node.address, host: node.name, fqdn: fqdn(farm.farm, node) };
        await writeRoot(farm.base, client, join(roots, node.name), signal);
      }
      await run('sync', ['-f', roots]); // its writing back is not to fall into the measured time
      const dnsmasq = join(directory, 'dnsmasq.conf');
      const ganesha = join(directory, 'ganesha.conf');
      writeFileSync(dnsmasq, dnsmasqConf(farm, nodes, directory, files));
      writeFileSync(ganesha, ganeshaConf(roots));
      const http = how === 'http' ? { port: httpPort, directory: files } : undefined;
      const machines = nodes.map(({ name, id, address: of }) => ({ name, id, address: of }));
      writeFileSync(settings, JSON.stringify({ address, dnsmasq, ganesha, pidFile: join(directory, 'ganesha.pid'), http, machines }));
    },
  };
}

/** The same kernel arguments as ours, but for the root. */
function script({ network, version }, node, root, how) {
  const server = network.address.address;
  const [name, hash] = version.split('/');
  const plan = { node: node.name, mac: node.mac, server, httpPort: 80, image: { name, version: hash }, kernelArgs: [consoleArgs] };
  const args = kernelCommandLine(plan).replace(/farm\.root=\S+/, `farm.root=${root},mountport=${mountPort}`);
  const from = how === 'tftp' ? `tftp://${server}` : `http://${server}:${httpPort}`;
  return `#!ipxe\nkernel ${from}/kernel initrd=initramfs ${args}\ninitrd --name initramfs ${from}/initramfs\nboot\n`;
}

function dnsmasqConf({ farm, network }, nodes, directory, files) {
  const lines = [
    'port=0',
    `interface=${network.interface}`,
    'bind-interfaces',
    'user=root',
    `dhcp-range=${networkAddress(network.address)},static,infinite`,
    'dhcp-authoritative',
    `domain=${farm.domain}`,
    'dhcp-option=option:router',
    'dhcp-option=option:dns-server',
    `dhcp-leasefile=${join(directory, 'leases')}`,
    'enable-tftp',
    `tftp-root=${files}`,
    'dhcp-match=set:ipxe,175',
    ...nodes.flatMap(({ name, mac, address }) => [`dhcp-host=${mac},${address},${name},infinite,set:${name}`, `dhcp-boot=tag:ipxe,tag:${name},${name}.ipxe`]),
  ];
  return `${lines.join('\n')}\n`;
}

function ganeshaConf(roots) {
  return `NFS_CORE_PARAM {
  Protocols = 3;
  Enable_NLM = false;
  Enable_RQUOTA = false;
  Enable_UDP = false;
  NFS_Port = 2049;
  MNT_Port = ${mountPort};
}
NFS_KRB5 { Active_krb5 = false; }
EXPORT {
  Export_Id = 1;
  Path = ${roots};
  Pseudo = /roots;
  Access_Type = RW;
  Squash = no_root_squash;
  SecType = sys;
  Protocols = 3;
  Transports = TCP;
  FSAL { Name = VFS; }
}
`;
}
