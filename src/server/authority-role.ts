import { sqliteEngine } from '../authority/engine.ts';
import { startAuthority } from '../authority/start-authority.ts';
import type { ServingAuthority } from '../authority/start-authority.ts';
import type { IssuerConfig } from '../config/issuer.ts';
import { remitVersion } from '../config/version.ts';
import type { SigningKeys } from '../issuer/signing-keys.ts';
import { after } from '../runtime/timers.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { Closers } from './closers.ts';
import type { Parts } from './parts.ts';
import { openReceivedRecords } from './received-records.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';

/** Starts to serve sidecars, where the configuration names addresses for them; `null` where it does not. */
export async function startAuthorityRole(
  parts: Pick<Parts, 'config' | 'stateFile' | 'settling' | 'svid' | 'ports' | 'log' | 'ledger' | 'faults' | 'metrics'>,
  {
    issuer,
    signingKeys,
    closers,
  }: {
    readonly issuer: IssuerConfig | null;
    readonly signingKeys: SigningKeys | null;
    readonly closers: Pick<Closers, 'push'>;
  },
): Promise<ServingAuthority | null | StartProblem> {
  const { config, stateFile, settling, svid, ports, log } = parts;
  const { listen, sidecars, leaseSeconds } = config.authority;
  if (listen.length === 0 || stateFile === null || issuer === null || signingKeys === null) return null;
  const digestKey = stateFile.reader.digestKey();
  if (isStoreFailure(digestKey)) return { problem: digestKey.detail };
  const records = await openReceivedRecords(config, {
    ...parts,
    writer: parts.ledger.writer,
    log: (line) => log(line, 'authority'),
    closers,
  });
  if (isStartProblem(records)) return records;
  const serving = await startAuthority({
    listen,
    sidecars: () => sidecars,
    leaseMs: leaseSeconds * 1_000,
    engine: sqliteEngine({ ...stateFile, settling }),
    reports: stateFile.authority,
    records,
    digestKey,
    issuer: issuer.url,
    jwks: () => signingKeys.jwks(),
    svid,
    version: remitVersion(),
    ports,
    after,
    onProblem: (line) => log(line, 'authority'),
  });
  if (!('targets' in serving)) return serving;
  closers.push(() => serving.close());
  log(`sidecars on ${serving.targets.join(', ')}`, 'authority');
  return serving;
}
