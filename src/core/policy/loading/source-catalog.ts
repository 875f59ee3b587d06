import type { Catalog } from '../../action/catalog/catalog.ts';
import { catalogFrom } from '../../action/catalog/catalog-assembly.ts';
import { descriptorSetsIn } from '../../action/catalog/catalog-descriptor-sets.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import type { PolicySource } from './source.ts';

/** The catalog of a policy folder's content, or all its findings. */
export const catalogOf = async ({
  catalog: { text, file },
  descriptorSets,
}: Pick<PolicySource, 'catalog' | 'descriptorSets'>): Promise<
  Catalog | { readonly findings: readonly SourceFinding[] }
> => catalogFrom(text, file, await descriptorSetsIn(descriptorSets));
