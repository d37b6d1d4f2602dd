// The farm's map: made from the registry, or a person's, compared with it; and what the cluster says of the nodes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Facts, noFlags } from '../../src/cluster/entry.ts';
import { ClusterView, monitorNode } from '../../src/farm/cluster-view.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { checkMap, farmMap, mapInForce, ownMapPath } from '../../src/farm/own-map.ts';

const farm = parseFarm(
  `name: lab
domain: farm.lan
networks:
  main: { interface: eth1, address: 10.11.0.1/24, range: 10.11.0.10-10.11.0.99 }
nodes:
  n1: { mac: 52:54:00:00:00:01, ip: 10.11.0.11, id: 1 }
  n2: { mac: 52:54:00:00:00:02, ip: 10.11.0.12, id: 2 }
  n7: { mac: 52:54:00:00:00:07, ip: 10.11.0.17, id: 7 }
`,
  'a test',
);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-own-map-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('the map in force', () => {
  beforeEach(() => rmSync(ownMapPath(directory), { force: true }));

  test('is made from the registry, the same bytes each time', () => {
    const { text, file, warnings } = mapInForce(farm, directory);
    expect([text, file, warnings]).toEqual([farmMap(farm), undefined, []]);
    expect(text).toBe('# openmosix.map of the farm lab, made from its farm.yaml\n# n1 to n2\n1 10.11.0.11 2\n# n7\n7 10.11.0.17 1\n');
  });

  test("is the person's in the overlays, byte for byte, with what disagrees with the registry", () => {
    const path = ownMapPath(directory);
    mkdirSync(dirname(path), { recursive: true });
    const text = '# by hand\n1 n1 1\n3 n2.farm.lan 1\n900 10.11.0.200 1\n';
    writeFileSync(path, text);
    expect(mapInForce(farm, directory)).toEqual({
      text,
      file: path,
      warnings: [
        { line: undefined, message: 'n2, 10.11.0.12, id 2 in farm.yaml, is node 3 in the map' },
        { line: undefined, message: 'n7, 10.11.0.17, id 7 in farm.yaml, is not in the map: it will not join the cluster' },
      ],
    });
    writeFileSync(path, '1 n1\n');
    expect(() => mapInForce(farm, directory)).toThrow(expect.objectContaining({ code: 'map.invalid' }));
    writeFileSync(path, '1 nobody 1\n');
    expect(() => mapInForce(farm, directory)).toThrow(expect.objectContaining({ code: 'map.host' }));
  });

  test('agrees with the registry if it is its own', () => {
    expect(checkMap(farmMap(farm), farm, 'x')).toEqual([]);
  });
});

describe('the cluster as the server sees it', () => {
  const facts = (speed: number): Facts => ({ flags: noFlags, guests: 0, version: '0.1.0', speed, cpus: 1, measures: undefined });

  test('has the freshest word on each node, whoever brings it', () => {
    const view = new ClusterView();
    view.take([{ id: 2, state: 'alive', age: 1, facts: facts(100) }], 10_000);
    view.take([{ id: 2, state: 'alive', age: 5, facts: facts(50) }], 10_000);
    expect(view.of(2)).toEqual({ state: 'alive', saidAt: 9000, facts: facts(100) });
    // The same word, and news of its state.
    view.take([{ id: 2, state: 'dead', age: 8, facts: facts(100) }], 17_000);
    expect(view.of(2)?.state).toBe('dead');
    expect(view.of(3)).toBeUndefined();
  });

  test('shows a node as down when the cluster says so, or when its own reports have stopped', () => {
    const word = { state: 'alive', saidAt: 0, facts: facts(9000) } as const;
    expect(monitorNode(2, word, true)).toMatchObject({ id: 2, status: 'up', speed: 9000, load: 0 });
    expect(monitorNode(2, word, false).status).toBe('down');
    expect(monitorNode(2, { ...word, state: 'dead' }, true).status).toBe('down');
    expect(monitorNode(2, { ...word, state: 'left' }, false).status).toBe('left');
    expect(monitorNode(2, undefined, false).status).toBe('unknown');
  });
});
