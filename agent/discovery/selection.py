"""Which pods a Service selects and which Services select a pod, without looking at all of them: an index by label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

Name = tuple[str, str]  # namespace, name
_Label = tuple[str, str, str]  # namespace, key, value


class Selection:
    """A selector is filed under one of its labels, a pod under all of its own."""

    def __init__(self) -> None:
        self._pods: defaultdict[_Label, set[str]] = defaultdict(set)
        self._services: defaultdict[_Label, dict[str, Mapping[str, str]]] = defaultdict(dict)

    def add_pod(self, key: Name, labels: Mapping[str, str]) -> None:
        for label in labels.items():
            self._pods[key[0], *label].add(key[1])

    def drop_pod(self, key: Name, labels: Mapping[str, str]) -> None:
        for label in labels.items():
            names = self._pods[key[0], *label]
            names.discard(key[1])
            if not names:
                del self._pods[key[0], *label]

    def add_service(self, key: Name, selector: Mapping[str, str]) -> None:
        if selector:
            self._services[key[0], *min(selector.items())][key[1]] = selector

    def drop_service(self, key: Name, selector: Mapping[str, str]) -> None:
        if selector:
            filed = key[0], *min(selector.items())
            self._services[filed].pop(key[1], None)
            if not self._services[filed]:
                del self._services[filed]

    def services_of(self, namespace: str, labels: Mapping[str, str]) -> set[Name]:
        """An empty selector selects nothing, as everywhere in Services."""
        return {
            (namespace, name)
            for label in labels.items()
            for name, selector in self._services.get((namespace, *label), {}).items()
            if selector.items() <= labels.items()
        }

    def pods_of(self, namespace: str, selector: Mapping[str, str]) -> list[str]:
        """Sorted."""
        found = [self._pods.get((namespace, *label), set()) for label in selector.items()]
        return sorted(set.intersection(*found)) if found else []
