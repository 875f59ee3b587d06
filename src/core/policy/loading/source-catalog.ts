import type { Catalog } from '../../action/catalog/catalog.ts';
import { catalogOfFiles } from '../../action/catalog/catalog-assembly.ts';
import { descriptorSetsIn } from '../../action/catalog/catalog-descriptor-sets.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import type { PolicySource } from './source.ts';

/** The catalog of a policy folder's content, or all its findings. */
export const catalogOf = async ({
  catalogs,
  descriptorSets,
}: Pick<PolicySource, 'catalogs' | 'descriptorSets'>): Promise<
  Catalog | { readonly findings: readonly SourceFinding[] }
> => catalogOfFiles(catalogs, await descriptorSetsIn(descriptorSets));
