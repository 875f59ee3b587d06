import { describe, expect, it } from '@jest/globals';
import { catalogOfFiles } from '../../../../src/core/action/catalog/catalog-assembly.ts';
import { must } from '../../../builders/must.ts';

const server = (id: string, { host = `${id}.acme.test`, action = `${id}.read`, more = '' } = {}): string =>
  `servers:
  ${id}:
    hosts: [${host}]
    audience: https://${id}.acme.test
    routes:
      - { method: GET, path: /v1/${id}, risk: low, action: ${action} }
${more}`;

const files = (...texts: readonly string[]) =>
  texts.map((text, index) => ({ file: `actions/${index + 1}.yaml`, text }));

const findings = (...texts: readonly string[]): readonly string[] => {
  const read = catalogOfFiles(files(...texts));
  if (!('findings' in read)) throw new Error('the catalog loads');
  return read.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);
};

/** Nine time zones, named from a number on. */
const zones = (from: number): string =>
  `timeZones: { ${Array.from({ length: 9 }, (_, index) => `z${from + index}: UTC`).join(', ')} }\n`;

/** With a comment of 1,000,000 bytes. */
const large = (start: string): string => `${start}\n# ${'x'.repeat(1_000_000)}\n`;

describe('catalogOfFiles', () => {
  it('is one catalog of all files (issue 43, point 2)', () => {
    const zones = 'timeZones: { office: Europe/Berlin }\nsubjectAttributes: { region: string }\n';
    const catalog = must(
      catalogOfFiles(files(server('crm', { more: zones }), server('erp', { more: zones }), 'servers: {}\n')),
    );
    expect([[...catalog.servers.keys()], [...catalog.actions.keys()]]).toEqual([
      ['crm', 'erp'],
      ['crm.read', 'erp.read'],
    ]);
    expect([...catalog.timeZones, ...catalog.subjectAttributes]).toEqual([
      ['office', 'Europe/Berlin'],
      ['region', 'string'],
    ]);
    expect(catalog.serverAt('erp.acme.test', ['v1', 'erp'])).toMatchObject({ server: { id: 'erp' } });
  });

  it.each([
    [
      'a server',
      [server('crm'), server('crm', { host: 'other.acme.test', action: 'other.read' })],
      'actions/2.yaml:2:3: the server `crm` is defined twice: first at `actions/1.yaml:2`',
    ],
    [
      'an action',
      [server('crm'), server('erp', { action: 'crm.read' })],
      'actions/2.yaml:6:58: the action `crm.read` is defined twice: first at `actions/1.yaml:6`',
    ],
    [
      'a host',
      [server('crm'), server('erp', { host: 'crm.acme.test' })],
      'actions/2.yaml:3:13: the host `crm.acme.test` already belongs to the server `crm` at `actions/1.yaml:3`',
    ],
    [
      'an audience',
      [server('crm'), server('erp').replace('https://erp', 'https://crm')],
      'actions/2.yaml:4:15: the audience `https://crm.acme.test` already belongs to the server `crm` at `actions/1.yaml:4`',
    ],
    [
      'a time zone',
      [
        server('crm', { more: 'timeZones: { office: Europe/Berlin }\n' }),
        server('erp', { more: 'timeZones: { office: Asia/Tokyo }\n' }),
      ],
      'actions/2.yaml:7:14: the time zone `office` is `Asia/Tokyo`, and `Europe/Berlin` at `actions/1.yaml:7`',
    ],
    [
      'a subject attribute',
      [
        server('crm', { more: 'subjectAttributes: { region: string }\n' }),
        server('erp', { more: 'subjectAttributes: { region: long }\n' }),
      ],
      'actions/2.yaml:7:22: the subject attribute `region` is `long`, and `string` at `actions/1.yaml:7`',
    ],
    [
      'the type of an attribute',
      [
        server('crm', { more: '    attributes: { tier: 1 }\n' }),
        server('erp', { more: '    attributes: { tier: one }\n' }),
      ],
      'actions/2.yaml:2:3: the attribute `tier` is a number of `crm` at `actions/1.yaml:2` and text of `erp`',
    ],
  ])('names both places of %s that two files define (issue 43, point 2)', (_what, texts, message) => {
    expect(findings(...texts)).toEqual([message]);
  });

  it('bounds the texts of all files together, before it parses any', () => {
    const four = Array.from({ length: 4 }, () => large('servers: {}'));
    expect('findings' in catalogOfFiles(files(...four))).toBe(false);
    expect(findings(large('servers: 1'), ...four)).toEqual([
      'actions/5.yaml:1:1: the files of the catalog have more than 4194304 bytes together',
    ]);
  });

  it('reports what is wrong in each file, and bounds names of all files together', () => {
    expect(findings('servers: 2\n', 'servers: 1\n')).toEqual([
      'actions/1.yaml:1:10: `servers` must be a mapping',
      'actions/2.yaml:1:10: `servers` must be a mapping',
    ]);
    expect(findings('servers: {}\ntimeZones: []\n', 'servers: {}\n')).toEqual([
      'actions/1.yaml:2:12: `timeZones` must be a mapping',
    ]);
    expect(findings(server('crm', { more: zones(1) }), server('erp', { more: zones(10) }))).toEqual([
      'actions/2.yaml:7:12: the files of the catalog have more than 16 names here together',
    ]);
  });
});
