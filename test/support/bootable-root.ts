// A root directory that can be imported: everything there in form, and nothing in size.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { moduleClasses } from '../../src/image/modules.ts';

/** A bzImage of nothing but its header, by the Linux/x86 boot protocol. */
export function bootableKernel(release: string): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.write(release, 4096);
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

const required = Object.values(moduleClasses).flatMap((each) => [...each.required]);

/** A root directory with what an import looks for: kernels, of which two have modules, and a package's record. */
export function makeBootableRoot(root: string): void {
  for (const path of ['boot', 'etc', 'proc/1', 'usr/bin', 'var/lib/dpkg']) mkdirSync(join(root, path), { recursive: true });
  symlinkSync('usr/lib', join(root, 'lib'));
  writeFileSync(join(root, 'proc/1/stat'), 'of a running system');
  writeFileSync(join(root, 'etc/os-release'), 'ID=debian\nVERSION_CODENAME=bookworm\n');
  writeFileSync(join(root, 'usr/bin/env'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(
    join(root, 'var/lib/dpkg/status'),
    'Package: bash\nStatus: install ok installed\nVersion: 5.2\n\nPackage: gone\nStatus: deinstall ok config-files\n',
  );
  for (const release of ['6.1.0-9', '6.1.0-10', '6.1.0-11']) {
    writeFileSync(join(root, 'boot', `vmlinuz-${release}`), bootableKernel(release));
    if (release === '6.1.0-11') continue; // one without modules
    const modules = join(root, 'usr/lib/modules', release);
    mkdirSync(join(modules, 'kernel/fs'), { recursive: true });
    symlinkSync('/usr/src', join(modules, 'build'));
    writeFileSync(join(modules, 'kernel/fs/nfs.ko'), 'a module');
    writeFileSync(join(modules, 'modules.dep'), 'kernel/fs/nfs.ko:\n');
    writeFileSync(
      join(modules, 'modules.builtin'),
      required
        .filter((name) => name !== 'nfs')
        .map((name) => `kernel/${name}.ko\n`)
        .join(''),
    );
    for (const table of ['softdep', 'alias']) writeFileSync(join(modules, `modules.${table}`), '');
  }
}
