"""Stands in for PyFlink where Dagger's functions run: the names that functions use, all of them udfleet's."""
