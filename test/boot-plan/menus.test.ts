import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { type Ipv4, mac } from '../../src/base/addresses.ts';
import { type MenuTemplate, type MenuTemplates, menuTemplateNames, renderMenu, type TextMenu } from '../../src/boot/menus.ts';
import type { BootAction, BootPlan } from '../../src/boot/plan.ts';

function template(menu: TextMenu): MenuTemplate {
  const origin = new URL(`../../templates/boot/${menuTemplateNames[menu]}`, import.meta.url).pathname;
  return { origin, text: readFileSync(origin, 'utf8') };
}
const templates: MenuTemplates = { ipxe: template('ipxe'), autoexec: template('autoexec'), pxelinux: template('pxelinux'), grub: template('grub') };

const plan: BootPlan = {
  node: 'n1',
  mac: mac('52:54:00:12:34:56'),
  address: '10.11.0.10' as Ipv4,
  server: '10.11.0.1' as Ipv4,
  httpPort: 8080,
  image: { name: 'debian-13', version: '0123456789ab' },
  kernelArgs: ['quiet'],
  root: { kind: 'nfs' },
  loader: 'auto',
  action: 'default',
};
const { mac: _, ...cardless } = plan;

describe('the menu of each loader for each action', () => {
  const menus: readonly TextMenu[] = ['ipxe', 'pxelinux', 'grub'];
  const actions: readonly BootAction[] = ['default', 'local', 'memtest', 'shell', 'reinstall'];
  it('is as it was tried in QEMU', async () => {
    const all = menus.flatMap((menu) => actions.map((action) => `==== ${menu}, ${action}\n${renderMenu(menu, templates, 'lab', { ...plan, action })}`));
    await expect([...all, `==== autoexec\n${renderMenu('autoexec', templates, 'lab', plan)}`].join('\n')).toMatchFileSnapshot('../golden/boot-menus.txt');
  });

  it('makes nobody wait before the first try', () => {
    for (const action of actions) {
      expect(renderMenu('pxelinux', templates, 'lab', { ...plan, action })).toContain('\nPROMPT 0\n');
      expect(renderMenu('grub', templates, 'lab', { ...plan, action })).not.toMatch(/timeout|menuentry/);
    }
  });

  test.each<[TextMenu, string]>([
    // biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE writes its variables so
    ['ipxe', 'initrd=initramfs BOOTIF=01-${netX/mac:hexhyp} farm.server='],
    ['pxelinux', '\n  SYSAPPEND 2\n'],
    ['grub', '/kernel BOOTIF=01-$net_default_mac farm.server='],
  ])('of %s fills in the card that it uses for a node whose card is not known', (menu, words) => {
    expect(renderMenu(menu, templates, 'lab', cardless)).toContain(words);
    expect(renderMenu(menu, templates, 'lab', plan)).not.toContain(words);
  });
});

it("a word that GRUB's shell would change is quoted", () => {
  const kernelArgs = ['plain=1,a:b', 'a;b', 'x=$y', "it's", '"q"'];
  expect(renderMenu('grub', templates, 'lab', { ...plan, kernelArgs })).toContain(` plain=1,a:b 'a;b' 'x=$y' 'it'\\''s' '"q"';`);
  expect(renderMenu('pxelinux', templates, 'lab', { ...plan, kernelArgs })).toContain(` plain=1,a:b a;b x=$y it's "q"\n`);
});
