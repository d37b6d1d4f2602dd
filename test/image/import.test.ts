// Which kernel of an imported root nodes boot.
import { describe, expect, it } from 'vitest';
import { chooseKernel } from '../../src/image/import.ts';
import type { Kind } from '../../src/tree/tree.ts';

describe('the kernel of a root', () => {
  const files = (...paths: readonly string[]) => new Map<string, { readonly kind: Kind }>(paths.map((path) => [path, { kind: 'file' }]));

  it('is the newest that has modules, by the numbers in its release', () => {
    const root = files(
      'boot/vmlinuz-6.1.0-9',
      'boot/vmlinuz-6.1.0-10',
      'boot/vmlinuz-6.1.0-11',
      'usr/lib/modules/6.1.0-9/modules.dep',
      'usr/lib/modules/6.1.0-10/modules.dep',
    );
    expect(chooseKernel(root, undefined).release).toBe('6.1.0-10');
    expect(chooseKernel(root, '6.1.0-9')).toEqual({ release: '6.1.0-9', modules: 'usr/lib/modules/6.1.0-9' });
    expect(() => chooseKernel(root, '6.1.0-11')).toThrow('the root has no kernel 6.1.0-11 in /boot with modules in /lib/modules');
  });

  it('is found where /lib is a directory of its own, too', () => {
    expect(chooseKernel(files('boot/vmlinuz-5', 'lib/modules/5/modules.dep'), undefined)).toEqual({ release: '5', modules: 'lib/modules/5' });
  });

  it('whose modules lead elsewhere is refused', () => {
    const root = new Map([...files('boot/vmlinuz-5', 'lib/modules/5/modules.dep')]).set('lib/modules/5/x.ko', { kind: 'symlink' });
    expect(() => chooseKernel(root, undefined)).toThrow('/lib/modules/5/x.ko is a symlink');
  });
});
