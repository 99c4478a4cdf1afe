"""What a tensor can do beyond the op table: conversion, printing, copying, sharing memory."""
