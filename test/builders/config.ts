import { configFrom } from '../../src/core/config/config.ts';
import type { Config } from '../../src/core/config/config.ts';
import { must } from './must.ts';

/** The configuration of a text; throws where it has problems. */
export const mustConfig = (
  yaml: string,
  {
    folder = '/etc/remit',
    environment = {},
  }: { readonly folder?: string; readonly environment?: Readonly<Record<string, string | undefined>> } = {},
): Config => must(configFrom(yaml, { file: 'remit.yaml', folder, environment })).value;
