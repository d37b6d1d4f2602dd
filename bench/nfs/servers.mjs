// The servers that are compared, each as its users run it, all with the files of one image of a farm, in one network namespace.
import { spawn } from 'node:child_process';
import { mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ours = fileURLToPath(new URL('../../bin/farm', import.meta.url));
/** Everything in it is an address of the namespace's loopback: each client can have one. */
export const address = '10.99.0.1';
const prefix = 16;
export const networkCommands = [
  ['ip', 'link', 'set', 'lo', 'up'],
  ['ip', 'address', 'add', `${address}/${prefix}`, 'dev', 'lo'],
];
export const clientAddress = (number) => `10.99.1.${number}`;
const ports = { ganesha: 2050, ganeshaMount: 20_048, unfs3: 2051 };

/** Starts a program, waits until it has said `ready`, and ends it with `close`. Its output goes to `log`. */
function start(log, program, args, ready) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  return new Promise((settle, reject) => {
    const hear = (chunk) => {
      if (said.length < 100_000) said += chunk;
      writeFileSync(log, chunk, { flag: 'a' });
      if (ready.test(said)) settle({ pid: child.pid, close: () => end(child) });
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${program} ended with ${code}: ${said.slice(-500)}`)));
  });
}

function end(child) {
  return new Promise((settle) => {
    child.on('exit', settle);
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), 10_000).unref();
  });
}

/**
 * A farm of `nodes` nodes over the image in `images`, with a tagged version for each node in the directories that a boot looks into most: tag translation
 * is never off, and here it has something to translate.
 */
export async function startFarm(directory, images, nodes, settings = '', { command = ours, only = 'nfs' } = {}) {
  const farm = join(directory, 'farm');
  rmSync(farm, { recursive: true, force: true });
  for (const path of ['overlays/root/usr/lib/x86_64-linux-gnu', 'overlays/root/etc', 'overlays/root/usr/bin']) mkdirSync(join(farm, path), { recursive: true });
  mkdirSync(join(farm, 'state'), { recursive: true, mode: 0o700 });
  writeFileSync(join(farm, 'state', 'key'), `${'5a'.repeat(32)}\n`, { mode: 0o600 });
  symlinkSync(resolve(images), join(farm, 'images'));
  const lines = [
    'name: bench',
    'domain: bench.lan',
    ...settings.split('\n'),
    'networks:',
    `  main: { interface: lo, address: ${address}/${prefix} }`,
    'nodes:',
  ];
  for (let number = 1; number <= nodes; number += 1) {
    lines.push(`  n${number}: { id: ${number}, mac: "52:54:00:00:01:${number.toString(16).padStart(2, '0')}", ip: ${clientAddress(number)} }`);
    for (const path of ['usr/lib/x86_64-linux-gnu', 'etc', 'usr/bin'])
      writeFileSync(join(farm, 'overlays/root', path, `bench$$HOST=n${number}$$`), `${number}\n`);
  }
  writeFileSync(join(farm, 'farm.yaml'), `${lines.join('\n')}\n`);
  const flags = process.env.SERVER_FLAGS?.split(' ') ?? [];
  const args = [...flags, command, '-C', farm, 'serve', '--only', only, '--log-format', 'json'];
  const server = await start(join(directory, 'farm.log'), process.execPath, args, /serve\.ready/);
  const version = readlinkSync(join(images, 'debian-13', 'current'));
  return { name: 'farm', ...server, port: 2049, path: `/debian-13/${version}`, directory: farm };
}

/** It registers with rpcbind, without which it does not start. */
export async function startGanesha(directory, root) {
  const configuration = join(directory, 'ganesha.conf');
  writeFileSync(
    configuration,
    `NFS_CORE_PARAM {
  Protocols = 3;
  Enable_NLM = false;
  Enable_RQUOTA = false;
  Enable_UDP = false;
  NFS_Port = ${ports.ganesha};
  MNT_Port = ${ports.ganeshaMount};
}
NFS_KRB5 { Active_krb5 = false; }
EXPORT {
  Export_Id = 1;
  Path = ${root};
  Pseudo = /root;
  Access_Type = RW;
  Squash = no_root_squash;
  SecType = sys;
  Protocols = 3;
  Transports = TCP;
  FSAL { Name = VFS; }
}
`,
  );
  const log = join(directory, 'ganesha.log');
  const args = ['-F', '-f', configuration, '-p', join(directory, 'ganesha.pid'), '-L', 'STDOUT', '-N', 'NIV_EVENT'];
  const server = await start(log, 'ganesha.nfsd', args, /NFS SERVER INITIALIZED/);
  return { name: 'nfs-ganesha', ...server, port: ports.ganesha, mountPort: ports.ganeshaMount, path: root };
}

/** `tags`: with its cluster extensions, for which it must have been configured. */
export async function startUnfs3(directory, program, root, tags) {
  const exportsFile = join(directory, 'exports');
  writeFileSync(exportsFile, `${root} (rw,no_root_squash)\n`);
  const args = ['-d', '-t', '-p', '-e', exportsFile, '-n', String(ports.unfs3), '-m', String(ports.unfs3), ...(tags ? ['-c'] : [])];
  const name = tags ? 'unfs3 -c' : 'unfs3';
  const child = spawn(program, args, { stdio: 'ignore' });
  await new Promise((settle, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
    setTimeout(settle, 500); // it says nothing when it is ready
  });
  return { name, pid: child.pid, close: () => end(child), port: ports.unfs3, path: root };
}
