import { readFile } from 'node:fs/promises';
import { productFile } from '../../core/runtime/system/product-file.ts';
import { shippedSpireConfig } from './envoy-config.ts';
import type { Answers } from './answers.ts';
import { enforcementFile } from './enforcement-file.ts';
import type { Observe } from './enforcement-file.ts';
import { envoyFileFrom, OBSERVING_HEAD } from './envoy-file.ts';
import { firstCallScript } from './first-call-script.ts';
import { hostFiles } from './host-files.ts';
import { observingEnvoyConfig, observingHostFiles } from './observing.ts';
import { intentFile } from './intent-file.ts';
import { policyFiles } from './policy-files.ts';
import { registerScript } from './register-script.ts';
import { remitFile } from './remit-file.ts';
import { valuesFile } from './values-file.ts';

/**
 * The files of a folder that `remit init` makes, by their path in it. With `observe` Envoy lets all calls pass that policies or faults of Remit
 * deny, the policy folder has an `enforcement.yaml` that says so, and the way back lies in `enforcing/`.
 */
export async function folderFiles(
  answers: Answers,
  observe: Observe | null = null,
): Promise<ReadonlyMap<string, string>> {
  const base = await shipped('cedar-policies/base.cedarschema');
  const enforcement =
    observe === null ? [] : ([['policies/enforcement.yaml', enforcementFile(answers, observe)]] as const);
  const policies = new Map([...policyFiles(base, answers), ...enforcement]);
  const ofHost = await (answers.host === 'envoy' ? envoyFiles(answers, observe) : filesOfHost(answers, observe));
  return new Map([
    ['remit.yaml', remitFile(answers)],
    ...ofHost,
    ...(answers.host === 'envoy' ? [] : ([['values.yaml', valuesFile(answers, policies)]] as const)),
    ['intent.yaml', intentFile(answers)],
    ['intent.schema.json', await shipped('deploy/schemas/intent.schema.json')],
    ['register.sh', registerScript(answers)],
    ...policies,
  ]);
}

async function envoyFiles(answers: Answers, observe: Observe | null): Promise<ReadonlyMap<string, string>> {
  const enforcing = envoyFileFrom(await shippedSpireConfig(), answers);
  const firstCall = ['first-call.sh', firstCallScript(answers)] as const;
  return observe === null
    ? new Map([['envoy.yaml', enforcing], firstCall])
    : new Map([
        ['envoy.yaml', observingEnvoyConfig(enforcing, OBSERVING_HEAD)],
        ['enforcing/envoy.yaml', enforcing],
        firstCall,
      ]);
}

async function filesOfHost(answers: Answers, observe: Observe | null): Promise<ReadonlyMap<string, string>> {
  const enforcing = await hostFiles(answers);
  if (observe === null) return enforcing;
  const observing = observingHostFiles(enforcing);
  const wayBack = [...observing.keys()].map((name) => [`enforcing/${name}`, enforcing.get(name) ?? ''] as const);
  return new Map([...enforcing, ...observing, ...wayBack]);
}

/** A file of the package. */
const shipped = (path: string): Promise<string> => readFile(productFile(path), 'utf8');
