// The rules of the whole cluster on a virtual clock with a seeded network. bench/cluster has the same for up to 2,000 nodes.
import { describe, expect, test } from 'vitest';
import { meanAge, oldestAge, spread, stepsToReach, windowAge } from '../../src/cluster/ages.ts';
import { patience } from '../../src/cluster/rounds.ts';
import { mean, Simulation } from '../support/cluster-simulation.ts';

const interval = 1000;

/** When each of the others took `id` for `state`, in ms after `since`. */
function noticed(simulation: Simulation, id: number, state: string, since: number): number[] {
  return simulation.events.filter((event) => event.id === id && event.to === state && event.at >= since).map(({ at }) => at - since);
}

describe('the formulas', () => {
  test('agree with each other: a window of w is as old as its oldest, and younger on average', () => {
    for (const nodes of [20, 100, 2000]) {
      expect(spread(nodes, stepsToReach(nodes, 14))).toBeCloseTo(14);
      expect(windowAge(nodes, 14)).toBeGreaterThan(0);
      expect(windowAge(nodes, 14)).toBeLessThan(stepsToReach(nodes, 14));
      expect(oldestAge(nodes, 14)).toBeGreaterThan(meanAge(nodes, 14) - windowAge(nodes, 14));
    }
    expect(spread(100, 0)).toBe(1);
  });
});

describe('information', () => {
  test('of 100 nodes is as old as the formula says', () => {
    const simulation = new Simulation({ nodes: 100, seed: 3 });
    simulation.run(25_000);
    const ages: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      simulation.run(2_000);
      ages.push(...simulation.ages(Array.from({ length: 100 }, (_, id) => id + 1)));
    }
    const wanted = meanAge(100, 16) / 2; // an answer and a push a round are two of its steps
    expect(mean(ages)).toBeGreaterThan(wanted * 0.8);
    expect(mean(ages)).toBeLessThan(wanted * 1.35);
  });

  test('costs a node the same in a cluster of 30 as in one of 90, and a datagram fits a frame', () => {
    const [small, large] = [30, 90].map((nodes) => {
      const simulation = new Simulation({ nodes, seed: 4 });
      simulation.run(25_000);
      simulation.bytesPerSecond(1);
      simulation.run(10_000);
      return simulation.bytesPerSecond(10_000).bytes;
    });
    expect(small!).toBeLessThan(2 * 1400);
    expect(Math.abs(large! - small!) / small!).toBeLessThan(0.05);
  });
});

describe('a cluster', () => {
  test.each([3, 30, 100])('of %i nodes notices a death everywhere, in the time that patience() promises', (nodes) => {
    const simulation = new Simulation({ nodes, seed: 5 });
    simulation.run(20_000);
    const since = simulation.now;
    simulation.kill(nodes);
    simulation.run(40_000);
    const found = noticed(simulation, nodes, 'dead', since);
    const { suspect, dead } = patience(nodes, interval);
    expect(found).toHaveLength(nodes - 1);
    // A probe comes within some rounds, ticks are up to a round late each time, and the news spreads.
    expect(Math.max(...found)).toBeLessThan(4 * interval + suspect + interval + dead + interval + 3 * interval);
    expect(simulation.events.filter(({ to, id }) => (to === 'dead' || to === 'suspect') && id !== nodes)).toEqual([]);
  });

  test('that loses every twentieth datagram buries nobody alive', () => {
    const simulation = new Simulation({ nodes: 30, seed: 6, loss: 0.05 });
    simulation.run(150_000);
    expect(simulation.events.filter(({ to }) => to === 'suspect').length).toBeGreaterThan(0);
    expect(simulation.events.filter(({ to }) => to === 'dead')).toEqual([]);
  });

  test('hears of a goodbye without suspicion, and takes the node back when it starts again', () => {
    const simulation = new Simulation({ nodes: 30, seed: 7 });
    simulation.run(10_000);
    const since = simulation.now;
    simulation.leave(30);
    simulation.run(8_000);
    expect(noticed(simulation, 30, 'left', since)).toHaveLength(29);
    expect(simulation.events.filter(({ to }) => to === 'suspect')).toEqual([]);
    const again = simulation.now;
    simulation.start(30);
    simulation.run(8_000);
    expect(noticed(simulation, 30, 'alive', again)).toHaveLength(29);
    expect(simulation.node(30).table.live).toHaveLength(29);
  });

  test('comes together from nothing but the map', () => {
    const simulation = new Simulation({ nodes: 60, seed: 8, settled: false });
    simulation.run(15_000);
    for (const { table } of simulation.nodes) expect(table.live).toHaveLength(59);
  });

  test('that was cut in two comes together again when the cut heals', () => {
    const simulation = new Simulation({ nodes: 30, seed: 9 });
    simulation.run(5_000);
    simulation.partition(10);
    simulation.run(90_000);
    expect(simulation.node(1).table.live).toHaveLength(9);
    expect(simulation.node(30).table.live).toHaveLength(19);
    simulation.partition(0);
    simulation.run(60_000);
    for (const { table } of simulation.nodes) expect(table.live).toHaveLength(29);
  });

  test('in which machines come and go knows in the end who is there', () => {
    const simulation = new Simulation({ nodes: 40, seed: 10, loss: 0.02 });
    for (let round = 0; round < 30; round += 1) {
      const id = 1 + ((round * 7) % 40);
      if (simulation.node(id).up) simulation.kill(id);
      else simulation.start(id);
      simulation.run(3_000);
    }
    simulation.run(60_000);
    const up = simulation.nodes.filter((node) => node.up).map(({ id }) => id);
    expect(up.length).toBeLessThan(40);
    for (const id of up) expect([...simulation.node(id).table.live, id].sort((a, b) => a - b)).toEqual(up);
  });
});
