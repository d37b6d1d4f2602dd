// The smallest root that can be imported and entered: a static busybox as its shell, a kernel that is nothing but a header, and one module.
import { chmodSync, copyFileSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { moduleClasses } from '../../src/image/modules.ts';

const release = '6.1.0-1';

/** Makes it in `root`, which does not exist yet. */
export function makeTinyRoot(root: string): void {
  const modules = join(root, 'usr/lib/modules', release);
  for (const path of ['bin', 'boot', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'usr/sbin', 'home', 'var/lib/apt/lists'])
    mkdirSync(join(root, path), { recursive: true });
  mkdirSync(join(modules, 'kernel/fs'), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  chmodSync(join(root, 'bin/busybox'), 0o4755);
  for (const applet of ['sh', 'cat', 'chmod', 'dd', 'hostname', 'id', 'ls', 'mkdir', 'rm', 'sleep', 'stat', 'touch', 'ps', 'echo'])
    symlinkSync('busybox', join(root, 'bin', applet));
  symlinkSync('usr/lib', join(root, 'lib'));
  writeFileSync(join(root, 'etc/os-release'), 'ID=tiny\n');
  writeFileSync(join(root, 'etc/one'), 'linked\n');
  linkSync(join(root, 'etc/one'), join(root, 'etc/two'));
  writeFileSync(join(root, 'boot', `vmlinuz-${release}`), kernelHeader(release));
  writeFileSync(join(modules, 'kernel/fs/nfs.ko'), 'a module');
  writeFileSync(join(modules, 'modules.dep'), 'kernel/fs/nfs.ko:\n');
  const builtIn = Object.values(moduleClasses).flatMap((each) => [...each.required]);
  writeFileSync(join(modules, 'modules.builtin'), builtIn.map((name) => `kernel/${name}.ko\n`).join(''));
  for (const table of ['modules.softdep', 'modules.alias']) writeFileSync(join(modules, table), '');
}

/** A bzImage of nothing but its header, by the Linux/x86 boot protocol. */
function kernelHeader(version: string): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.write(version, 4096);
  bytes.writeUInt8(1, 0x1f1);
  bytes.writeUInt16LE(0xaa55, 0x1fe);
  bytes.write('HdrS', 0x202, 'latin1');
  bytes.writeUInt16LE(0x020f, 0x206);
  bytes.writeUInt8(1, 0x211);
  bytes.writeUInt32LE(0x7fff_ffff, 0x22c);
  bytes.writeUInt32LE(2047, 0x238);
  bytes.writeBigUInt64LE(0x100_0000n, 0x258);
  bytes.writeUInt32LE(0x200_0000, 0x260);
  return bytes;
}
