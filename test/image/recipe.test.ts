import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { loadRecipe, parseRecipe } from '../../src/image/recipe.ts';

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
  test("that farm brings is valid, and touches no file that would configure the node's network", () => {
    const recipe = loadRecipe('debian-13');
    expect(recipe).toMatchObject({ name: 'debian-13', suite: 'trixie', kernel: 'linux-image-amd64', mirror: undefined });
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
      suite: 'trixie',
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

  test.each([
    ['a key that is not known', `${head}packges: []\n`, 'r.yaml:5: Unrecognized key: "packges"'],
    ['no suite', head.replace('suite: trixie\n', ''), 'r.yaml:1: suite: expected'],
    ['a package that cannot be one', head.replace('systemd-sysv', 'systemd-sysv, "; rm"'), 'r.yaml:3: packages.1: expected the name of a Debian package'],
    ['a module class that is not known', head.replace('nfs', 'wifi'), 'r.yaml:4: modules.1: expected any of: ethernet,'],
    ['an epoch that is no time', head.replace('2026-01-01T00:00:00Z', 'yesterday'), 'r.yaml:2: epoch: expected a time such as 2026'],
    ['a mirror that is no address', `${head}mirror: ftp.de.debian.org\n`, 'r.yaml:5: mirror: expected the address of a Debian mirror'],
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
    expect(() => loadRecipe('debian-99')).toThrow(/there is no recipe .*images\/debian-99\.yaml/);
    expect(() => loadRecipe(join(directory, 'none.yaml'))).toThrow(`there is no recipe ${directory}/none.yaml`);
  });
});
