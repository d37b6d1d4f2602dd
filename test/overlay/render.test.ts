import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { FarmError } from '../../src/base/errors.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { farmMap } from '../../src/farm/own-map.ts';
import { templateValues } from '../../src/farm/values.ts';
import { type OverlaySource, type RenderContext, renderOverlay } from '../../src/overlay/render.ts';
import { readOverlaySources } from '../../src/overlay/sources.ts';

const nodes = [{ name: 'n1' }, { name: 'n2' }];

function template(path: string, text: string): OverlaySource {
  return { path, origin: `/overlay/${path}`, mode: 0o644, size: 0, body: { kind: 'template', text } };
}

function render(path: string, text: string, context: RenderContext = { farm: { name: 'lab' }, nodes }) {
  return renderOverlay([template(path, text)], context).map(({ path: name, mode, body }) => [
    name,
    mode.toString(8),
    body.kind === 'bytes' ? body.bytes.toString() : body.kind,
  ]);
}

function errorOf(action: () => unknown): FarmError {
  try {
    action();
  } catch (error) {
    return error as FarmError;
  }
  throw new Error('no error');
}

describe('an overlay template', () => {
  it('is rendered once for the farm', () => {
    expect(render('etc/motd.hbs', 'Welcome to {{farm.name}}, {{nodes.length}} nodes & more\n')).toEqual([
      ['etc/motd', '644', 'Welcome to lab, 2 nodes & more\n'],
    ]);
  });

  it('is rendered for each node when its name speaks of one', () => {
    expect(render('etc/hostname$$HOST={{node.name}}$$.hbs', '{{!-- mode=0600 --}}\n{{node.name}}\n')).toEqual([
      ['etc/hostname$$HOST=n1$$', '600', 'n1\n'],
      ['etc/hostname$$HOST=n2$$', '600', 'n2\n'],
    ]);
  });

  it('can be a symlink, to a target of its own for each node', () => {
    const files = renderOverlay([template('etc/x$$HOST={{node.name}}$$.hbs', '{{!-- symlink --}}\n/srv/{{node.name}}\n')], { farm: {}, nodes });
    expect(files.map(({ path, body }) => [path, body])).toEqual([
      ['etc/x$$HOST=n1$$', { kind: 'symlink', target: '/srv/n1' }],
      ['etc/x$$HOST=n2$$', { kind: 'symlink', target: '/srv/n2' }],
    ]);
  });

  it('can leave nodes out', () => {
    const text = '{{#unless (lookup node "x")}}{{/unless}}{{#if node.first}}yes{{else}}{{omit}}{{/if}}';
    const context = {
      farm: {},
      nodes: [
        { name: 'n1', first: true, x: 1 },
        { name: 'n2', first: false, x: 1 },
      ],
    };
    expect(render('a-{{node.name}}.hbs', text, context as never)).toEqual([['a-n1', '644', 'yes']]);
  });

  it('fails with file, line and node when a value is missing: never an empty string', () => {
    const error = errorOf(() => render('etc/a$$HOST={{node.name}}$$.hbs', 'one\ntwo {{node.colour}}\n'));
    expect(error.code).toBe('overlay.render');
    expect(error.message).toMatch(/^\/overlay\/etc\/a\$\$HOST=\{\{node.name\}\}\$\$\.hbs:2:\d+: for node n1: "node.colour" is not there/);
  });

  it.each([
    ['{{#each node.shraed}}x{{/each}}', '1:9', '"node.shraed" is not there'],
    ['\n{{node.netwrok.router}}', '2:1', '"node.netwrok.router": there is nothing to have a "router"'],
    ['{{#if node.netwrok.router}}x{{/if}}', '1:7', '"node.netwrok.router": there is nothing to have a "router"'],
    ['{{#each node.list as |one|}}{{one.nme}}{{/each}}', '1:29', '"one.nme" is not there'],
    ['{{#each node.list}}{{@nme}}{{/each}}', '1:20', '"@nme" is not there'],
    ['{{#if (eq node.nme "n1")}}x{{/if}}', '1:11', '"node.nme" is not there'],
    ['{{eq node.name}}', '1:1', 'eq compares two values'],
    ['{{lookup node "nme"}}', '1:1', 'lookup finds no "nme"'],
    ['{{#with node.nme}}x{{/with}}', '1:9', '"node.nme" is not there'],
    ['{{#each node.name}}x{{/each}}', '1:1', 'each needs a list'],
    ['{{node.list}}', '1:1', '"node.list" is no text but has parts: say which'],
    ['{{node.constructor}}', '1:1', '"node.constructor" is not there'],
    ['{{../name}}', '1:1', '"../name": there is nothing to have a "name"'],
  ])('is as strict with %s', (text, place, complaint) => {
    const context = { farm: {}, nodes: [{ name: 'n1', list: [{ a: 1 }] }] };
    expect(errorOf(() => render('a$$HOST={{node.name}}$$.hbs', text, context)).message).toBe(
      `/overlay/a$$HOST={{node.name}}$$.hbs:${place}: for node n1: ${complaint}`,
    );
  });

  it.each([
    ['{{#if node.router}}r{{else if (eq node.profile "gpu")}}g{{/if}}', 'g'],
    ['{{#unless (eq node.profile "lab")}}no lab{{/unless}}', 'no lab'],
    ['{{#each node.list as |one|}}{{one.a}}{{../node.name}}{{@index}}{{/each}}{{^node.list}}none{{/node.list}}', '1n10'],
    ['{{#with node}}{{name}}{{@root.farm.name}}{{#with (lookup list 0)}}{{a}}{{/with}}{{/with}}', 'n1lab1'],
  ])('can test and choose: %s', (text, rendered) => {
    const context = { farm: { name: 'lab' }, nodes: [{ name: 'n1', profile: 'gpu', list: [{ a: 1 }] }] };
    expect(render('a-{{node.name}}.hbs', text, context)).toEqual([['a-n1', '644', rendered]]);
  });

  it.each([
    ['a$$HOTS={{node.name}}$$', 'ends in $$HOTS=n1$$, which is no tag'],
    ['a$$HOST={{farm.empty}}$$', 'ends in $$HOST=$$, which is no tag'],
    ['a$$IP={{node.name}}$$', 'ends in $$IP=n1$$, which is no tag'],
    ['a{{node.text}}', 'has a control character'],
    [`${'a'.repeat(253)}{{node.name}}x`, 'has a name longer than 255 bytes'],
  ])('cannot be called %s', (name, fault) => {
    const context = { farm: { empty: '' }, nodes: [{ name: 'n1', text: 'a\nb' }] };
    const { code, message } = errorOf(() => render(`${name}.hbs`, 'x', context));
    expect([code, message.includes(fault)]).toEqual(['overlay.path', true]);
  });

  it('fails where it speaks of a node and its name does not', () => {
    expect(errorOf(() => render('etc/a.hbs', '{{node.name}}')).message).toContain('for all nodes');
  });

  it('fails with its place when it is no template', () => {
    expect(errorOf(() => render('etc/a.hbs', '{{#if farm.name}}')).code).toBe('overlay.template');
  });

  it('cannot land outside the root', () => {
    expect(errorOf(() => render('../etc/passwd.hbs', 'x')).code).toBe('overlay.path');
    expect(errorOf(() => render('{{node.name}}/x.hbs', 'x', { farm: {}, nodes: [{ name: '..' }] } as never)).code).toBe('overlay.path');
  });
});

it('the built-in overlay has no symlinks on disk, which npm would leave out of the package', () => {
  const sources = readOverlaySources([fileURLToPath(new URL('../../templates/root', import.meta.url))]);
  expect(sources.filter(({ body }) => body.kind === 'symlink')).toEqual([]);
  expect(sources.length).toBeGreaterThan(10);
});

it('the built-in overlay of a sample farm is what the golden file says', () => {
  const top = fileURLToPath(new URL('../..', import.meta.url));
  const text = readFileSync(new URL('./sample-farm.yaml', import.meta.url), 'utf8');
  const farm = parseFarm(text, '/srv/sample');
  const files = renderOverlay(readOverlaySources([`${top}templates/root`]), templateValues(farm, Buffer.alloc(32, 7), farmMap(farm)));
  const printed = files
    .map(
      ({ path, mode, body }) =>
        `=== ${path} ${mode.toString(8)}\n${body.kind === 'bytes' ? body.bytes.toString() : body.kind === 'symlink' ? `-> ${body.target}\n` : ''}`,
    )
    .join('');
  const golden = fileURLToPath(new URL('../golden/overlay.txt', import.meta.url));
  if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(golden, printed);
  expect(printed).toBe(readFileSync(golden, 'utf8'));
});
