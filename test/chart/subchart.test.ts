import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWith, helmPart } from '../parts.ts';
import { chartFolder, objectsOf, ran } from './chart.ts';

describeWith(helmPart(), 'the chart as a part of another one', ([helm4, helm3]) => {
  const parent = mkdtempSync(join(tmpdir(), 'remit-parent-'));
  beforeAll(() => {
    mkdirSync(join(parent, 'charts'));
    cpSync(chartFolder, join(parent, 'charts/remit'), { recursive: true });
    writeFileSync(
      join(parent, 'Chart.yaml'),
      'apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies: [{ name: remit, version: ">=0", condition: remit.enabled }]\n',
    );
    writeFileSync(
      join(parent, 'values.yaml'),
      'global: { imageRegistry: registry.acme.test }\nremit: { enabled: true, identity: { trustDomain: acme.test } }\n',
    );
  });
  afterAll(() => rmSync(parent, { recursive: true, force: true }));

  it.each([
    ['Helm 4', helm4],
    ['Helm 3', helm3],
  ])('takes `global` and `enabled`, by %s', async (_version, helm) => {
    const { code, stdout, stderr } = await ran(helm, ['template', 'platform', parent, '--namespace', 'platform']);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const config = objectsOf(stdout).find(({ metadata }) => metadata.name === 'platform-remit-authority');
    expect(config?.kind).toBeDefined();
    expect(stdout).toContain('https://platform-remit-authority.platform.svc:9472');
  });

  it('is left out if the parent disables it', async () => {
    const { stdout } = await ran(helm4, ['template', 'platform', parent, '--set', 'remit.enabled=false']);
    expect(objectsOf(stdout)).toEqual([]);
  });

  it('names a wrong value by its place in the parent', async () => {
    const { code, stderr } = await ran(helm4, ['template', 'platform', parent, '--set', 'remit.replicas=3']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/remit:\s.*'replicas'/s);
  });
});
