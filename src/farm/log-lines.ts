// Which lines of the server's log are about which nodes: those that name it, its address, or its card.
import type { Node } from './farm.ts';

/** Whether a line, pretty or JSON, has one of the nodes' words between characters that are no part of such a word. */
export function linesAbout(nodes: readonly Pick<Node, 'name' | 'address' | 'mac'>[]): (line: string) => boolean {
  const words = new Set(nodes.flatMap(({ name, address, mac }) => [name.toLowerCase(), address, ...(mac === undefined ? [] : [mac])]));
  return (line) => {
    for (const [word] of line.toLowerCase().matchAll(/[a-z0-9](?:[a-z0-9.:-]*[a-z0-9])?/g)) if (words.has(word) || words.has(withoutPort(word))) return true;
    return false;
  };
}

/** `10.11.0.10:1023` is of 10.11.0.10, `n1.farm.lan` of n1. */
function withoutPort(word: string): string {
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(word) ? word.replace(/:\d+$/, '') : /^[a-z]/.test(word) ? word.replace(/\..*$/, '') : word;
}
