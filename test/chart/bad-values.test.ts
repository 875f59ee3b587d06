import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { describeWith, helmPart } from '../parts.ts';
import { template } from './chart.ts';

const postgres = [
  'authority.database.type=postgres',
  'authority.database.postgres.hosts={db.acme.test}',
  'authority.database.postgres.passwordSecret=login',
  'authority.database.postgres.migration.passwordSecret=owner',
  'sidecar.namespaces={tools}',
  'sidecar.audiences={https://tools.acme.test}',
];

/** The sections of values that have values in every chart. */
const sections: readonly string[] = Object.entries(
  parse(readFileSync(join(import.meta.dirname, '../../deploy/chart/values.yaml'), 'utf8')),
).flatMap(([name, value]) =>
  typeof value === 'object' &&
  value !== null &&
  Object.keys(value).length > 0 &&
  !Array.isArray(value) &&
  !name.endsWith('ecurityContext') &&
  name !== 'resources'
    ? [name]
    : [],
);

/** Wrong values: what is set, and what the message must say. */
const bad: readonly (readonly [name: string, set: readonly string[], says: RegExp])[] = [
  ['an unknown value', ['replicas=3'], /additional propert.*'replicas'/i],
  ['an unknown value further in', ['authority.database.kind=postgres'], /database.*additional propert.*'kind'/is],
  ['a mode that is none', ['mode=both'], /mode.*'sidecar', 'node', 'authority'/is],
  ['a text for a number', ['replicaCount=three'], /replicaCount.*got string, want integer/is],
  ['too many authorities', [...postgres, 'replicaCount=9'], /replicaCount.*maximum.*8/is],
  ['a text for a section', ['image=remit'], /image.*got string, want object/is],
  ['a digest that is none', ['image.digest=sha256:abc'], /digest.*does not match pattern/is],
  ['a folder of the node that others need', ['node.socketFolder=/etc'], /socketFolder.*does not match pattern/is],
  ['a folder that leads out', ['node.socketFolder=/run/../etc/remit'], /socketFolder.*does not match pattern/is],
  ['a shell in a name', ['sidecar.namespaces={a;b}'], /namespaces\/0.*does not match pattern/is],
  ['checks in clear on the network', ['sidecar.listen={0.0.0.0:9470}'], /listen\/0.*does not match pattern/is],
  ['a trust domain with a scheme', ['identity.trustDomain=spiffe://a'], /trustDomain.*does not match pattern/is],
  ['a scaled SQLite file', ['autoscaling.enabled=true'], /autoscaling\.enabled with a SQLite file.*type=postgres/s],
  [
    'fewer than the fewest',
    [...postgres, 'autoscaling.enabled=true', 'autoscaling.minReplicas=5'],
    /minReplicas is 5, more than maxReplicas, 4: set maxReplicas higher/,
  ],
  [
    'a folder of the node on OpenShift',
    ['openshift.enabled=true', 'mode=node', 'node.audiences={https://a}'],
    /openshift\.enabled with node\.via=socket.*set node\.via=network/s,
  ],
  ...sections.map(
    (section) => [`no section ${section}`, [`${section}=null`], new RegExp(`missing propert.*'${section}'`)] as const,
  ),
  ['several authorities on a file', ['replicaCount=3'], /with a SQLite file.*set replicaCount=1, or .*type=postgres/s],
  ['a PostgreSQL without a server', ['authority.database.type=postgres'], /postgres\.hosts is empty: name the servers/],
  [
    'a PostgreSQL without a login',
    [...postgres, 'authority.database.postgres.passwordSecret='],
    /authority\.database\.postgres has no credential: name a Secret/,
  ],
  [
    'a key of rows on a file',
    ['authority.database.postgres.stateKeySecret=rows'],
    /stateKeySecret is rows with a SQLite file.*set authority\.database\.type=postgres/s,
  ],
  [
    'a migration without a login',
    [...postgres, 'authority.database.postgres.migration.passwordSecret='],
    /authority\.database\.postgres\.migration has no credential: name a Secret/,
  ],
  [
    'a password and a certificate',
    [...postgres, 'authority.database.postgres.certificateSecret=c'],
    /names passwordSecret and certificateSecret: keep one/,
  ],
  ['a PostgreSQL without sidecars', [...postgres, 'sidecar.namespaces=null'], /there are rules for none: set sidecar/],
  [
    'one role for both',
    [...postgres, 'authority.database.postgres.migration.user=remit_authority'],
    /both remit_authority: the authorities need a role of their own/,
  ],
  [
    'sidecars of no service account',
    ['sidecar.namespaces={demo}', 'sidecar.audiences={https://a}', 'sidecar.serviceAccounts=null'],
    /sidecar\.serviceAccounts is empty: name the service accounts/,
  ],
  [
    'every service account',
    ['sidecar.namespaces={demo}', 'sidecar.audiences={https://a}', 'sidecar.serviceAccounts={*}'],
    /serviceAccounts\/0.*does not match pattern/is,
  ],
  ['sidecars without audiences', ['sidecar.namespaces={demo}'], /sidecar\.audiences is empty: name the servers/],
  ['nodes without audiences', ['mode=node'], /node\.audiences is empty: name the servers/],
  [
    'both modes at once, nodes first',
    ['mode=node', 'node.audiences={https://a}', 'sidecar.namespaces={demo}'],
    /set mode=sidecar, or empty sidecar\.namespaces/,
  ],
  ['both modes at once, sidecars first', ['node.audiences={https://a}'], /set mode=node, or empty node\.audiences/],
  [
    'the network without callers',
    ['mode=node', 'node.audiences={https://a}', 'node.via=network'],
    /node\.callers is empty with node\.via=network: name the Envoys/,
  ],
  [
    'callers of a socket',
    ['mode=node', 'node.audiences={https://a}', 'node.callers={spiffe://a/b}'],
    /set node\.via=network, or empty node\.callers/,
  ],
  [
    'two sources of policies',
    ['policies.existingConfigMap=remit-a', 'policies.files.x\\.cedar=y'],
    /existingConfigMap and policies\.files are both set: keep one/,
  ],
  [
    'policies that the guard would refuse',
    ['policies.existingConfigMap=policies'],
    /takes policies from ConfigMaps named remit-… alone; rename it/,
  ],
  [
    'a bundle beside a folder',
    ['policies.bundle.from=https://a', 'policies.existingConfigMap=remit-a'],
    /beside a policy folder: keep one/,
  ],
  ['a bundle without a name', ['policies.bundle.from=https://a'], /bundle\.name is empty: give the name/],
  [
    'a bundle without keys',
    ['policies.bundle.from=https://a', 'policies.bundle.name=prod'],
    /bundle\.keys is empty: give the JWK Set/,
  ],
];

describeWith(helmPart(), 'the chart refuses', ([helm4, helm3]) => {
  it.each(bad)('%s, by Helm 4 and 3', async (_name, set, says) => {
    const args = set.flatMap((value) => ['--set', value]);
    for (const refused of await Promise.all([template(helm4, args), template(helm3, args)])) {
      expect(refused).toMatchObject({ code: 1, stdout: '' });
      expect(refused.stderr).toMatch(says);
    }
  });

  it('nothing of what a parent chart gives: `global` and `enabled`', async () => {
    expect(await template(helm4, ['--set', 'global.anything.at=all', '--set', 'enabled=true'])).toMatchObject({
      code: 0,
    });
  });
});
