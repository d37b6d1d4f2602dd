import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { loadRecipe, parseRecipe, recipeNames } from '../../src/image/recipe.ts';

const head = `suite: trixie
epoch: 2026-01-01T00:00:00Z
packages: [systemd-sysv]
modules: [ethernet, nfs]
`;
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-recipe-'));
  writeFileSync(join(directory, 'motd'), 'welcome\n');
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('a recipe', () => {
  test.each([
    ['debian-12', { base: 'packages', distribution: 'debian', suite: 'bookworm', kernel: 'linux-image-amd64' }],
    ['debian-13', { base: 'packages', distribution: 'debian', suite: 'trixie', kernel: 'linux-image-amd64' }],
    ['minimal', { base: 'busybox', distribution: 'debian', suite: 'trixie', kernel: 'linux-image-amd64', packages: [] }],
    ['ubuntu-24.04', { base: 'packages', distribution: 'ubuntu', suite: 'noble', kernel: 'linux-image-generic' }],
  ])("that farm brings, %s, is valid, and touches no file that would configure the node's network", (name, told) => {
    expect(recipeNames()).toContain(name);
    const recipe = loadRecipe(name);
    expect(recipe).toMatchObject({ name, mirror: undefined, keyring: undefined, ...told });
    expect(recipe.packages.filter((name) => /ifupdown|networkmanager|netplan|dhcp|connman/i.test(name))).toEqual([]);
  });

  test('is read with its defaults, its files and their modes', () => {
    const text = `${head}mirror: http://ftp.example/debian/
files:
  /etc/motd: { source: motd }
  /etc/empty: { content: "", mode: "0400" }
  /usr/bin/vi: { link: ed }
`;
    expect(parseRecipe(text, join(directory, 'small.yaml'))).toEqual({
      name: 'small',
      base: 'packages',
      distribution: 'debian',
      suite: 'trixie',
      keyring: undefined,
      mirror: 'http://ftp.example/debian',
      epoch: 1_767_225_600,
      packages: ['systemd-sysv'],
      kernel: 'linux-image-amd64',
      modules: ['ethernet', 'nfs'],
      exclude: [],
      files: [
        { path: 'etc/motd', kind: 'file', content: Buffer.from('welcome\n'), mode: 0o644 },
        { path: 'etc/empty', kind: 'file', content: Buffer.of(), mode: 0o400 },
        { path: 'usr/bin/vi', kind: 'symlink', target: 'ed' },
      ],
    });
  });

  test('may have all modules, keys of its own beside it, and another kernel', () => {
    const text = `${head.replace('[ethernet, nfs]', 'all')}keyring: keys.gpg\nkernel: linux-image-rt-amd64\n`;
    expect(parseRecipe(text, join(directory, 'small.yaml'))).toMatchObject({
      modules: 'all',
      keyring: join(directory, 'keys.gpg'),
      kernel: 'linux-image-rt-amd64',
    });
  });

  test.each([
    ['a key that is not known', `${head}packges: []\n`, 'r.yaml:5: packges: there is no such key (did you mean packages?)'],
    ['two of them, each at its line', `${head}packges: []\nkernal: x\n`, 'r.yaml:6: kernal: there is no such key (did you mean kernel?)'],
    ['no suite', head.replace('suite: trixie\n', ''), 'r.yaml:1: suite: it is missing: expected'],
    [
      'a distribution that is not known',
      `${head}distribution: ubunto\n`,
      'r.yaml:5: distribution: expected debian or ubuntu, not "ubunto" (did you mean ubuntu?)',
    ],
    ['a base that is not known', `${head}base: busibox\n`, 'r.yaml:5: base: expected packages or busybox, not "busibox" (did you mean busybox?)'],
    [
      'something to exclude from what is unpacked whole',
      `${head}base: busybox\nexclude: [/usr]\n`,
      'r.yaml:6: exclude: packages on base: busybox are unpacked whole',
    ],
    ['a package that cannot be one', head.replace('systemd-sysv', 'systemd-sysv, "; rm"'), 'r.yaml:3: packages.1: expected the name of a Debian package'],
    ['packages that are no list', head.replace('[systemd-sysv]', 'systemd-sysv'), 'r.yaml:3: packages: expected a list such as [a, b], not "systemd-sysv"'],
    [
      'a module class that is not known',
      head.replace('nfs', 'ethernat'),
      'r.yaml:4: modules: there is no module class ethernat (did you mean ethernet?); expected all, or a list of: ethernet,',
    ],
    ['modules that are one word', head.replace('[ethernet, nfs]', 'al'), 'r.yaml:4: modules: there is no module class al (did you mean all?)'],
    ['an epoch that is no time', head.replace('2026-01-01T00:00:00Z', 'yesterday'), 'r.yaml:2: epoch: expected a time such as 2026'],
    ['a mirror that is no address', `${head}mirror: ftp.de.debian.org\n`, 'r.yaml:5: mirror: expected the address of a mirror'],
    [
      'a mode without quotes, which YAML reads as decimal',
      `${head}files:\n  /etc/a: { content: "", mode: 0644 }\n`,
      'r.yaml:6: files./etc/a: expected one of: link',
    ],
    ['a file outside the root', `${head}files:\n  /etc/../../a: { link: b }\n`, 'r.yaml:6: files./etc/../../a: '],
    ['a source that is not there', `${head}files:\n  /etc/a: { source: nothing }\n`, '/nothing, the source of /etc/a'],
    ['bad YAML', 'suite: [', 'r.yaml:1: '],
    ['nothing at all', '', 'r.yaml:1: '],
  ])('with %s is refused, and the error says where', (_what, text, message) => {
    const read = () => parseRecipe(text, '/somewhere/r.yaml');
    expect(read).toThrow(FarmError);
    expect(read).toThrow(message);
  });

  test('whose file name cannot be a directory of images is refused', () => {
    expect(() => parseRecipe(head, '/somewhere/My Image.yaml')).toThrow('"My Image" cannot be an image\'s name');
  });

  test('that does not exist is reported with its path', () => {
    expect(() => loadRecipe('debian-99')).toThrow(
      expect.objectContaining({
        message: 'there is no recipe debian-99 (did you mean debian-12?)',
        hint: expect.stringMatching(/^there are: debian-12, debian-13, minimal, ubuntu-24\.04;/),
      }),
    );
    expect(() => loadRecipe(join(directory, 'none.yaml'))).toThrow(`there is no recipe ${directory}/none.yaml`);
  });
});
