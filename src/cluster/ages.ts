// How old information is that spreads by gossip, in closed form: N nodes, each of which sends its `window` freshest entries to one random other in
// each step. Formulas of gossimon (MOSIX), facts sheet 5.4. Ages are in steps.

/** How many nodes have an entry that is `steps` old. */
export function spread(nodes: number, steps: number): number {
  const grown = Math.exp((nodes * steps) / (nodes - 1));
  return (nodes * grown) / (nodes - 1 + grown);
}

/** How many steps an entry takes until `window` nodes have it; also the age of the oldest in a window of that many. */
export function stepsToReach(nodes: number, window: number): number {
  return (Math.log((window * (nodes - 1)) / (nodes - window)) * (nodes - 1)) / nodes;
}

/** Mean age of the entries in a window. */
export function windowAge(nodes: number, window: number): number {
  const steps = stepsToReach(nodes, window);
  return steps - ((nodes - 1) / window) * (Math.log(nodes - 1 + Math.exp((nodes * steps) / (nodes - 1))) - Math.log(nodes));
}

/** Mean age of all entries that a node holds. */
export function meanAge(nodes: number, window: number): number {
  return 1 / (1 - (1 - 1 / (nodes - 1)) ** window) + windowAge(nodes, window);
}

const eulerMascheroni = 0.577_215_664_9;

/** Expected age of the oldest entry that a node holds. */
export function oldestAge(nodes: number, window: number): number {
  return -(Math.log(nodes) + eulerMascheroni) / (window * Math.log(1 - 1 / (nodes - 1)));
}
