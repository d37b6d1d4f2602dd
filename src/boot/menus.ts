// What a loader is told to do for one node: an iPXE script, a pxelinux.cfg or a grub.cfg, rendered from templates/boot/.
import { renderTemplate } from '../overlay/render.ts';
import { type BootPlan, httpBase, imagePath, kernelArguments, scriptPath, startsKernel } from './plan.ts';

export interface MenuTemplate {
  readonly text: string;
  /** Its path, for errors. */
  readonly origin: string;
}

/** `autoexec` has an iPXE fetch its script; the others have the node's orders. */
export type TextMenu = 'ipxe' | 'autoexec' | 'pxelinux' | 'grub';
export type MenuTemplates = Readonly<Record<TextMenu, MenuTemplate>>;

/** File names in templates/boot/. */
export const menuTemplateNames: Readonly<Record<TextMenu, string>> = {
  ipxe: 'node.ipxe.hbs',
  autoexec: 'autoexec.ipxe.hbs',
  pxelinux: 'pxelinux.cfg.hbs',
  grub: 'grub.cfg.hbs',
};

/** Renders one node's menu. Throws `FarmError` `overlay.*` for a template that cannot be rendered. */
export function renderMenu(menu: TextMenu, templates: MenuTemplates, farmName: string, plan: BootPlan): string {
  const { text, origin } = templates[menu];
  const path = imagePath(plan.image);
  const words = kernelArguments(plan);
  return renderTemplate(text, origin, {
    farm: { name: farmName },
    node: { name: plan.node, mac: plan.mac ?? '', address: plan.address },
    image: plan.image,
    action: plan.action,
    // What kind of action it is: Handlebars cannot compare.
    startsKernel: startsKernel(plan.action),
    local: plan.action === 'local',
    memtest: plan.action === 'memtest',
    // Without a server for loaders that know where they came from, and with one: as a URL, and for GRUB.
    path,
    url: `${httpBase(plan)}${path}`,
    http: `http,${httpBase(plan).slice('http://'.length)}`,
    tftp: `tftp,${plan.server}`,
    script: scriptPath(plan.node),
    scriptUrl: `${httpBase(plan)}${scriptPath(plan.node)}`,
    kernelArgs: (menu === 'grub' ? words.map(grubWord) : words).join(' '),
  });
}

/** In single quotes if GRUB's shell would take anything in it for its own (GRUB manual, "Quoting"). */
function grubWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
