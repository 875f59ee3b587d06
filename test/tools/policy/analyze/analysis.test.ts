import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { compareSets } from '../../../../src/tools/policy/analyze/analysis.ts';
import { analysisPrograms } from '../../../../src/tools/policy/analyze/programs.ts';
import { Prover } from '../../../../src/tools/policy/analyze/prover.ts';
import { must } from '../../../builders/must.ts';
import { exampleCatalog, folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { MUTE, scriptedEngine } from '../../../builders/scripted-engine.ts';

const folder = testFolders();

const withZones = (text: string): string => exampleCatalog.replace(/^timeZones:\n.*\n/m, text);

it('compareSets finds no difference between a catalog of one file and the same of several', async () => {
  const policies = '@id("a") permit (principal, action, resource);';
  const zones = 'timeZones: { office: Europe/Berlin';
  const one = await mustLoad(folderWith(policies, { catalog: withZones(`${zones}, shop: UTC }\n`) }));
  const several = await mustLoad(
    folderWith(policies, {
      catalog: withZones('timeZones: { shop: UTC }\n'),
      catalogs: { 'zones.yaml': `servers: {}\n${zones} }\n` },
    }),
  );
  expect([...several.catalog.timeZones.keys()]).toEqual(['shop', 'office']);
  const engine = scriptedEngine(join(folder(), 'engine'), MUTE);
  const programs = must(await analysisPrograms({ folder: engine, cacheFolder: engine, path: '/usr/bin:/bin' }));
  const prover = await Prover.open(programs, several.schema);
  try {
    const provers = { former: prover, other: prover };
    const options = { atOnce: 1, actions: null, onProgress: () => undefined };
    expect(await compareSets([one, several], provers, options)).toEqual([]);
    const [asked] = await compareSets([one, several], provers, { ...options, actions: ['payments.create'] });
    expect(asked).toMatchObject({ entry: 'same', gained: { kind: 'proved' }, lost: { kind: 'proved' } });
  } finally {
    await prover.close();
  }
});

it('compareSets asks about an action whose policy is in shadow in one of the sets', async () => {
  const read = 'permit (principal, action == Remit::Action::"payments.read", resource);';
  const enforced = await mustLoad(folderWith(`@id("a") ${read}`));
  const shadow = await mustLoad(folderWith(`@id("a") @shadow("true") ${read}`));
  const engine = scriptedEngine(join(folder(), 'engine'), MUTE);
  const programs = must(await analysisPrograms({ folder: engine, cacheFolder: engine, path: '/usr/bin:/bin' }));
  const prover = await Prover.open(programs, shadow.schema);
  try {
    const provers = { former: prover, other: prover };
    const options = { atOnce: 1, actions: null, onProgress: () => undefined };
    const [asked, ...others] = await compareSets([enforced, shadow], provers, options);
    expect(others).toEqual([]);
    expect(asked).toMatchObject({ action: 'payments.read', gained: { kind: 'proved' }, lost: { kind: 'undecided' } });
    expect(await compareSets([shadow, shadow], provers, options)).toEqual([]);
  } finally {
    await prover.close();
  }
});
