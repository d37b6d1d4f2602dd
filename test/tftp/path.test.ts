import { describe, expect, it } from 'vitest';
import { servedPath } from '../../src/tftp/path.ts';

describe('the path in a request', () => {
  it.each([
    ['a name', 'pxelinux.0', 'pxelinux.0'],
    ['a leading slash', '/boot/vmlinuz', 'boot/vmlinuz'],
    ['double slashes', '//boot///vmlinuz', 'boot/vmlinuz'],
    ['backslashes of Windows loaders', '\\Boot\\x64\\wdsnbp.com', 'Boot/x64/wdsnbp.com'],
    ['single dots', './a/./b', 'a/b'],
    ['the end option behind the name (UEFI ROMs)', 'ipxe.efi\xff', 'ipxe.efi'],
    ['line ends and blanks behind the name', 'ipxe.efi \r\n', 'ipxe.efi'],
    ['a blank within', 'my kernel', 'my kernel'],
    ['UTF-8', Buffer.from('größe').toString('latin1'), 'größe'],
    ['dots that are a name', '...', '...'],
  ])('%s', (_, name, path) => {
    expect(servedPath(name)).toBe(path);
  });

  it.each([[''], ['/'], ['.'], ['..'], ['../etc/passwd'], ['/a/../../etc/passwd'], ['a\\..\\b'], ['a/..'], ['\xff']])('%j is no path', (name) => {
    expect(servedPath(name)).toBeUndefined();
  });
});
