import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustConfig } from '../builders/config.ts';
import { baseSchema, exampleCatalog } from '../builders/policy-folder.ts';

/** The configuration of a sidecar with all its files in a folder, beside the socket `authority.sock` of its authority. */
export function sidecarIn(at: string) {
  const policies = join(at, 'policies');
  mkdirSync(join(policies, 'policies'), { recursive: true });
  writeFileSync(join(policies, 'base.cedarschema'), baseSchema);
  writeFileSync(join(policies, 'actions.yaml'), exampleCatalog);
  writeFileSync(join(policies, 'policies', 'all.cedar'), '@id("all") permit (principal, action, resource);\n');
  return mustConfig(
    `trustDomains: acme.test
extAuthz: { listen: unix:${at}/check.sock }
admin: { listen: 127.0.0.1:0 }
policies: ${policies}
state: authority:unix:${at}/authority.sock
ledger: { folder: ${at}/ledger, key: ${at}/ledger-key.pem, checkpoints: ${at}/checkpoints.txt }
`,
    { folder: at },
  );
}
