"""Decision trees of Galaxy Zoo campaigns as data.

A tree is a file of questions (`files.py`); everything else takes questions, columns and the probability that a question
is asked from a DecisionTree (`tree.py`). Kaggle's 37 columns of the Galaxy Challenge are one tree of many. They are
cumulative vote fractions: the answers to a question sum to the probability that it was asked, which is the value of its
parent answer (Willett et al. 2013, arXiv:1308.3496; Dieleman et al. 2015, arXiv:1503.07077).
"""

from convnet_galaxies.decision_tree.files import (
    KAGGLE,
    VOTE_COLUMNS,
    builtin_trees,
    dump_tree,
    load_tree,
    read_tree,
    write_tree,
)
from convnet_galaxies.decision_tree.tree import DecisionTree, Question

__all__ = [
    "KAGGLE",
    "VOTE_COLUMNS",
    "DecisionTree",
    "Question",
    "builtin_trees",
    "dump_tree",
    "load_tree",
    "read_tree",
    "write_tree",
]
