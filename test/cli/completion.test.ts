// What Tab offers.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { bootCommand } from '../../src/cli/boot.ts';
import { completionCommand, completions } from '../../src/cli/completion.ts';
import { imageCommand } from '../../src/cli/image.ts';
import { nodeCommand } from '../../src/cli/node.ts';
import { overlayCommand } from '../../src/cli/overlay.ts';
import { parseFarm } from '../../src/farm/config.ts';

const farm = parseFarm(
  `name: lab
networks: { main: { interface: eth1, address: 10.11.0.1/24 } }
profiles: { default: {}, gpu: {} }
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10, tags: [big] }
  n2: { id: 2, mac: "52:54:00:00:00:02", ip: 10.11.0.11 }
`,
  '/lab',
);
const program = new Command('farm').option('-C, --directory <dir>').addCommand(nodeCommand()).addCommand(bootCommand()).addCommand(completionCommand());
const offered = (line: string): string => completions(program, line.split(' '), () => farm).join(' ');

describe('the Tab key', () => {
  it.each([
    ['', 'node boot completion'],
    ['b', 'boot'],
    ['-C /srv/lab b', 'boot'],
    ['node s', 'show set'],
    ['node set ', 'all n1 n2 @big %default %gpu'],
    ['node set n1 @', '@big'],
    ['node list --f', '--fold'],
    ['node list -x n', 'n1 n2'],
    ['node import --format d', 'dhcpd dnsmasq'],
    ['node import --profile g', 'gpu'],
    ['node import l', ''],
    ['boot n2 --o', '--once'],
    ['completion z', 'zsh'],
    ['nonsense x', ''],
  ])('offers for %j: %s', (line, words) => {
    expect(offered(line)).toBe(words);
  });

  it('offers images, and versions where one is begun', () => {
    const lab = mkdtempSync(join(tmpdir(), 'farm-completion-'));
    for (const version of ['debian-13/0123456789ab', 'render/ba9876543210']) mkdirSync(join(lab, 'images', version), { recursive: true });
    const of = (line: string): string =>
      completions(new Command('farm').addCommand([imageCommand()].flat()[0] ?? new Command()), line.split(' '), () => ({ ...farm, directory: lab })).join(' ');
    expect([of('image verify '), of('image diff debian-13 re'), of('image diff debian-13/')]).toEqual(['debian-13 render', 'render', 'debian-13/0123456789ab']);
    rmSync(lab, { recursive: true });
  });

  it('offers files of overlays as nodes see them', () => {
    const overlay = new Command('farm').addCommand(overlayCommand());
    expect(completions(overlay, ['overlay', 'show', 'etc/ho'], () => farm)).toEqual(['etc/hostname', 'etc/hosts']);
    expect(completions(overlay, ['overlay', 'show', ''], () => farm).join(' ')).not.toContain('$');
  });

  it('offers no nodes where there is no farm', () => {
    expect(completions(program, ['node', 'set', ''], () => undefined)).toEqual([]);
  });
});
