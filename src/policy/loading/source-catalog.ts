import type { Catalog } from '../../action/catalog.ts';
import { catalogFrom } from '../../action/catalog-assembly.ts';
import { descriptorSetsIn } from '../../action/catalog-descriptor-sets.ts';
import type { SourceFinding } from '../../action/finding.ts';
import type { PolicySource } from './source.ts';

/** The catalog of a policy folder's content, or all its findings. */
export const catalogOf = async ({
  catalog: { text, file },
  descriptorSets,
}: Pick<PolicySource, 'catalog' | 'descriptorSets'>): Promise<
  Catalog | { readonly findings: readonly SourceFinding[] }
> => catalogFrom(text, file, await descriptorSetsIn(descriptorSets));
