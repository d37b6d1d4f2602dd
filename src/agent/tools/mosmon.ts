// mosmon: the cluster as a bar chart in a terminal. openMosix mosmon(1), facts sheet 3.4.
import { firstView, helpLines, type MonitorView, press } from '../../cluster/monitor.ts';
import { allNodes, selfNode } from './hpc.ts';
import { done, misuse, type Tool } from './tool.ts';
import { watch } from './watch.ts';

export const usage = 'mosmon [-w|-v|-V|-a] [-s|-m|-r|-u|-l|-L] [-d] [-t] [-h] [+NODE]';

export const mosmon: Tool = async (args, { hpc, out }) => {
  const view = viewOf(args);
  if (view.help) {
    out(`usage: ${usage}\n\n${helpLines.join('\n')}\n`);
    return done;
  }
  selfNode(hpc);
  await watch({ view, nodes: async () => allNodes(hpc), input: process.stdin, output: process.stdout });
  return done;
};

/** The options are the keys. openMosix's -F, which names a kernel, has no meaning here and is refused. */
export function viewOf(args: readonly string[]): MonitorView {
  let view = firstView;
  for (const arg of args) {
    const [, node] = /^\+(\d{1,5})$/.exec(arg) ?? [];
    const letters = /^-([wvVasmrulLdthH]+)$/.exec(arg)?.[1] ?? '';
    if (node !== undefined) view = { ...view, from: Number(node) };
    else if (letters === '') throw misuse(`"${arg}" is no option of mosmon`, usage);
    for (const letter of letters) {
      const pressed = press(view, undefined, letter, []);
      if (pressed !== undefined && pressed !== 'quit') ({ view } = pressed);
    }
  }
  return view;
}
