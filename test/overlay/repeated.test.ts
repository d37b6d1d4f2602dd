// What a template reads decides for how many nodes it is rendered; and templates for users, groups and memberships.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RenderContext, renderOverlay } from '../../src/overlay/render.ts';
import { compileStrictly } from '../../src/overlay/strict-handlebars.ts';
import type { OverlayFile } from '../../src/tree/graft.ts';

const context: RenderContext = {
  farm: { name: 'lab' },
  nodes: Array.from({ length: 300 }, (_, index) => ({
    name: `n${index}`,
    profile: index % 2 === 0 ? 'even' : 'odd',
    network: { server: '10.0.0.1', ...(index % 3 === 0 ? { router: '10.0.0.254' } : {}) },
    list: index % 5 === 0 ? [] : [{ a: index % 5 }],
  })),
  users: [{ name: 'ann', uid: 1001 } as { name: string }, { name: 'bob', uid: 1002 } as { name: string }],
  groups: [{ name: 'students' }],
  memberships: [{ user: 'ann', group: 'students' }],
};

const rendered = (path: string, text: string): readonly OverlayFile[] =>
  renderOverlay([{ path, origin: path, mode: 0o644, size: 0, body: { kind: 'template', text } }], context);
const bytesOf = (files: readonly OverlayFile[]): readonly unknown[] => files.map(({ body }) => (body.kind === 'bytes' ? body.bytes : body));

describe('a template for each node', () => {
  it('is made once for all that are alike in what it reads', () => {
    const files = rendered('a$$HOST={{node.name}}$$.hbs', '{{#if (eq node.profile "even")}}2{{else}}1{{/if}}');
    expect(files).toHaveLength(300);
    expect(new Set(bytesOf(files)).size).toBe(2);
  });

  it('is made for each where all differ, however many they are', () => {
    const files = rendered('a$$HOST={{node.name}}$$.hbs', '{{#each node.list}}{{/each}}{{node.name}}');
    expect(new Set(files.map(({ path, body }) => `${path} ${body.kind === 'bytes' ? body.bytes.toString() : ''}`)).size).toBe(300);
    expect(files.find(({ path }) => path === 'a$$HOST=n257$$')?.body).toEqual({ kind: 'bytes', bytes: Buffer.from('n257') });
  });

  it('is left out for all that are alike', () => {
    expect(rendered('a$$HOST={{node.name}}$$.hbs', '{{#unless node.list}}{{omit}}{{/unless}}{{#each node.list}}{{a}}{{/each}}')).toHaveLength(240);
  });

  it.each([
    ['{{node.profile}} {{farm.name}}', [['profile']]],
    ['{{#each node.list}}{{a}}{{../node.network.server}}{{/each}}', [['list'], ['network', 'server']]],
    ['{{@root.node.name}}{{this.node.profile}}', [['name'], ['profile']]],
    ['{{#each nodes}}{{name}}{{/each}}', []],
    ['{{#each node.list}}{{#if @last}}{{this}}{{/if}}{{/each}}', [['list']]],
    ['{{#with node.network}}{{lookup this "server"}}{{/with}}', [['network']]],
    ['{{#each node.list}}{{lookup .. "node"}}{{/each}}', undefined],
    ['{{#each node.list}}{{else}}{{lookup this "node"}}{{/each}}', undefined],
    ['{{#with (lookup this "node")}}{{this}}{{/with}}', undefined],
    ['{{lookup (lookup nodes 0) node.profile}}', [['profile']]],
    ['{{#with node}}{{name}}{{/with}}', undefined],
    ['{{lookup node "name"}}', undefined],
    ['{{lookup @root "node"}}', undefined],
    ['{{#each nodes}}{{#with ..}}{{#with node}}x{{/with}}{{/with}}{{/each}}', undefined],
    ['{{#each this}}{{@key}}{{/each}}', undefined],
  ])('%s reads of the node %j', (text, paths) => {
    expect(compileStrictly(text).reads('node')).toEqual(paths);
  });

  it('says the same as if it were made for each anew', () => {
    const piece = fc.constantFrom(
      '{{node.name}}',
      '{{node.profile}}',
      '{{node.network.server}}',
      '{{#if node.network.router}}{{node.network.router}}{{else}}-{{/if}}',
      '{{#each node.list}}{{a}}{{../node.profile}}{{@root.node.name}}{{/each}}',
      '{{#with node}}{{profile}}{{/with}}',
      '{{#with node.network}}{{server}}{{/with}}',
      '{{lookup node "profile"}}',
      '{{#each node.list}}{{lookup this "a"}}{{/each}}',
      '{{#if (eq node.profile "odd")}}{{omit}}{{/if}}',
      '{{farm.name}}',
      'text\n',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 4 }), (pieces) => {
        const text = pieces.join('');
        const nodes = context.nodes.slice(0, 40);
        const anew = nodes.flatMap((node) =>
          renderOverlay([{ path: 'a-{{node.name}}.hbs', origin: 'a', mode: 0o644, size: 0, body: { kind: 'template', text } }], { ...context, nodes: [node] }),
        );
        // `nodes` is read by none of the pieces.
        const sorted = [...anew].sort((a, b) => (a.path < b.path ? -1 : 1));
        const files = renderOverlay([{ path: 'a-{{node.name}}.hbs', origin: 'a', mode: 0o644, size: 0, body: { kind: 'template', text } }], {
          ...context,
          nodes,
        });
        expect(files.map(({ path, body }) => [path, body])).toEqual(sorted.map(({ path, body }) => [path, body]));
      }),
      { numRuns: 20 },
    );
  });

  it('fails for each node that is without a value, and says for which', () => {
    expect(() => rendered('a$$HOST={{node.name}}$$.hbs', '{{node.network.router}}')).toThrow(/for node n1: "node.network.router" is not there/);
  });
});

describe('a template for people', () => {
  it.each([
    ['{{user.uid}}.user.hbs', '{{user.name}} of {{nodes.length}}', ['1001.user: ann of 300', '1002.user: bob of 300']],
    ['{{group.name}}.group.hbs', '{{users.length}}', ['students.group: 2']],
    ['{{membership.user}}:{{membership.group}}.hbs', '{{membership.group}}', ['ann:students: students']],
  ])('is made for each of them: %s', (path, text, files) => {
    expect(rendered(path, text).map(({ path: landed, body }) => `${landed}: ${body.kind === 'bytes' ? body.bytes.toString() : ''}`)).toEqual(files);
  });

  it('cannot speak of a node', () => {
    expect(() => rendered('{{user.uid}}.hbs', '{{node.name}}')).toThrow(/for user ann: "node.name"/);
  });
});
