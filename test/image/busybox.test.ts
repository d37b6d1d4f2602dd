import { expect, test } from 'vitest';
import { isLeftOut } from '../../src/image/busybox.ts';

test.each([
  ['etc/apt', true],
  ['etc/apt/sources.list', true],
  ['etc/dpkg/dpkg.cfg.d', true],
  ['etc/resolv.conf', true],
  ['var/lib/dpkg/status', true],
  ['var/cache/apt/archives', true],
  ['usr/share/man/man1/sh.1.gz', true],
  ['usr/share/doc/libc6/changelog.gz', true],
  ['usr/share/doc/libc6/copyright', false],
  ['usr/share/doc/libc6', false],
  ['etc', false],
  ['etc/aptitude', false],
  ['var/lib/misc', false],
  ['usr/lib/x86_64-linux-gnu/libc.so.6', false],
])('of what mmdebstrap leaves in a root of busybox, %s: left out is %s', (path, leftOut) => {
  expect(isLeftOut(path)).toBe(leftOut);
});
