// The iPXE script of a node, rendered from templates/boot/node.ipxe.hbs.
import { renderTemplate } from '../overlay/render.ts';
import { type BootPlan, httpBase, imagePath, kernelCommandLine, scriptPath } from './plan.ts';

/** Renders `template` (its text, and its path for errors) for one node of the farm called `farmName`. */
export function renderScript(template: { readonly text: string; readonly origin: string }, farmName: string, plan: BootPlan): string {
  return renderTemplate(template.text, template.origin, {
    farm: { name: farmName },
    node: { name: plan.node, mac: plan.mac },
    image: plan.image,
    url: `${httpBase(plan)}${imagePath(plan.image)}`,
    script: `${httpBase(plan)}${scriptPath(plan.node)}`,
    kernelArgs: kernelCommandLine(plan),
  });
}
