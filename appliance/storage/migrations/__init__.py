"""The shape of hearth.db, one file a step; ``runner.py`` beside this folder applies what a data folder still lacks.

A step is never edited once it has landed: what changes later is another step.
"""
