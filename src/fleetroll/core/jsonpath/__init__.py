"""SQL/JSON path predicates (ISO 9075-2, as PostgreSQL's `@@` has them), without what could take unbounded time.

`parse` makes a tree of a text, `write` the one canonical text of a tree, and `holds` says what it means of a document:
true, false, or None where SQL says unknown. Engines that know jsonpath are given the canonical text; the others ask
`holds`. Left out are variables and dates, arithmetic outside comparisons, and whatever takes longer than a few walks
over the document: comparing two paths that may find many values, which PostgreSQL does by pairs and does not break off,
filters within filters, many positions at once, and a `**` within a filter, beside another one or beside long paths.
"""

from fleetroll.core.jsonpath.evaluation import holds as holds
from fleetroll.core.jsonpath.grammar import parse as parse
from fleetroll.core.jsonpath.grammar import parse_canonical as parse_canonical
from fleetroll.core.jsonpath.grammar import parse_path as parse_path
from fleetroll.core.jsonpath.tree import translated as translated
from fleetroll.core.jsonpath.writing import write as write
